// SPDX-License-Identifier: Apache-2.0
// sdar-generate and sdar-score from the outside.
#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/json.h"
#include "runtime/checkpoint/safetensors.h"
#include "tests/launcher/process.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

const std::string kTiny = std::string("--model=") + SDAR_SOURCE_DIR + "/models/sdar-tiny";

std::vector<Json> ReadRecords(const std::string& path) {
  std::vector<Json> records;
  const std::string text = ReadText(path);
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    auto record = ParseJson(line, path);
    EXPECT_TRUE(record.ok()) << record.status();
    if (record.ok()) records.push_back(*record);
  }
  return records;
}

TEST(GenerateTest, KeepsTheOrderServesTheGoodLinesAndNamesTheBadOnes) {
  for (int ranks : {1, 2}) {
    ScratchFolder folder;
    WriteText(
        folder.File("in"),
        "{\"id\": \"a\", \"messages\": [{\"role\": \"user\", \"content\": \"Who are you?\"}]}\n"
        "not json\n"
        "\n"
        "{\"id\": 7, \"prompt\": \"Hello\", \"max_tokens\": 3}\n"
        "{\"prompt\": \"x\", \"temprature\": 1}\n"
        "{\"id\": \"b\", \"prompt\": \"x\", \"max_tokens\": -4}\n"
        "{\"id\": \"c\", \"prompt_ids\": [1, 2, 3], \"n\": 2, \"temperature\": 1, \"seed\": 3, "
        "\"max_tokens\": 5, \"logprobs\": 2}\n");
    const Outcome outcome = RunProcess(
        OnRanks(ranks, "sdar-generate",
                {kTiny, "--input=" + folder.File("in"), "--output=" + folder.File("out")}));
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.err, HasSubstr("3 lines failed"));
    const std::vector<Json> records = ReadRecords(folder.File("out"));
    ASSERT_EQ(records.size(), 7u);
    EXPECT_EQ(records[0]["id"], "a");
    EXPECT_EQ(records[0]["finish_reason"], "stop");
    EXPECT_EQ(records[0]["stop_reason"], 958);
    EXPECT_EQ(records[1]["line"], 2);
    EXPECT_EQ(records[2]["id"], 7);
    EXPECT_EQ(records[2]["usage"]["completion_tokens"], 3);
    EXPECT_THAT(records[3]["error"].get<std::string>(), HasSubstr("temprature"));
    EXPECT_EQ(records[3]["line"], 5);
    EXPECT_THAT(records[4]["error"].get<std::string>(), HasSubstr("max_tokens"));
    EXPECT_EQ(records[5]["index"], 0);
    EXPECT_EQ(records[6]["index"], 1);
    EXPECT_EQ(records[6]["logprobs"][0]["top"].size(), 2u);
  }
}

TEST(GenerateTest, StopStringsEndTheTextBeforeThem) {
  ScratchFolder folder;
  WriteText(folder.File("in"),
            "{\"id\": 0, \"messages\": [{\"role\": \"user\", \"content\": \"What is tensor "
            "parallelism?\"}], \"stop\": [\" several dev\", \"zzz\"]}\n");
  const Outcome outcome = RunProcess(
      OnRanks(1, "sdar-generate",
              {kTiny, "--input=" + folder.File("in"), "--output=" + folder.File("out")}));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::vector<Json> records = ReadRecords(folder.File("out"));
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0]["text"], "Tensor parallelism splits the weights of every layer over");
  EXPECT_EQ(records[0]["stop_reason"], " several dev");
}

TEST(GenerateTest, ResumeAnswersOnlyWhatIsMissing) {
  ScratchFolder folder;
  std::string input;
  for (int i = 0; i < 6; ++i) {
    absl::StrAppend(&input, "{\"id\": ", i,
                    ", \"seed\": 1, \"prompt\": \"Hello\", \"max_tokens\": 4}\n");
  }
  WriteText(folder.File("in"), input);
  const std::vector<std::string> command = OnRanks(
      1, "sdar-generate",
      {kTiny, "--input=" + folder.File("in"), "--output=" + folder.File("out"), "--resume"});
  ASSERT_EQ(RunProcess(command).exit_code, 0);
  const std::string whole = ReadText(folder.File("out"));
  // As if it had been stopped in the middle of the third record.
  size_t cut = 0;
  for (int i = 0; i < 2; ++i) cut = whole.find('\n', cut) + 1;
  WriteText(folder.File("out"), whole.substr(0, cut + 9));
  ASSERT_EQ(RunProcess(command).exit_code, 0);
  EXPECT_EQ(ReadText(folder.File("out")), whole);
}

TEST(GenerateTest, SigtermFinishesWhatRunsAndLeavesAFileThatResumes) {
  ScratchFolder folder;
  std::string input;
  for (int i = 0; i < 160; ++i) {
    absl::StrAppend(&input, "{\"id\": ", i,
                    ", \"prompt\": \"Hello\", \"max_tokens\": 60, \"ignore_eos\": true}\n");
  }
  WriteText(folder.File("in"), input);
  const std::vector<std::string> command = OnRanks(
      1, "sdar-generate",
      {kTiny, "--input=" + folder.File("in"), "--output=" + folder.File("out"), "--resume"});
  {
    Process process(command, folder.File("stdout"), folder.File("stderr"));
    while (ReadText(folder.File("out")).empty() && process.Wait(0.01) == -1) {
    }
    process.Signal(SIGTERM);
    EXPECT_EQ(process.Wait(60), 0) << ReadText(folder.File("stderr"));
  }
  const size_t first = ReadRecords(folder.File("out")).size();
  EXPECT_GT(first, 0u);
  EXPECT_LT(first, 160u);
  EXPECT_EQ(RunProcess(command).exit_code, 0);
  const std::vector<Json> records = ReadRecords(folder.File("out"));
  ASSERT_EQ(records.size(), 160u);
  for (size_t i = 0; i < records.size(); ++i) EXPECT_EQ(records[i]["id"], i);
}

TEST(GenerateTest, BadFlagsAreOneClearLine) {
  const struct {
    const char* flag;
    const char* named;
  } cases[] = {{"--dtype=float16", "dtype"},
               {"--max-sequences=0", "max-sequences"},
               {"--moe-exchange=smoke", "moe-exchange"},
               {"--input=/nowhere/at.all", "/nowhere/at.all"},
               {"--device=tpu", "device"},
               {"--unheard-of=1", "unheard-of"}};
  for (const auto& c : cases) {
    const Outcome outcome = RunProcess(OnRanks(1, "sdar-generate", {kTiny, c.flag}));
    EXPECT_EQ(outcome.exit_code, 2) << c.flag;
    EXPECT_THAT(outcome.err, HasSubstr(c.named));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

TEST(GenerateTest, AskingForAGpuWhereThereIsNoneIsOneClearLine) {
  if (std::filesystem::exists("/dev/nvidiactl"))
    GTEST_SKIP() << "this machine has an NVIDIA driver";
  for (int ranks : {1, 2}) {
    const Outcome outcome = RunProcess(OnRanks(ranks, "sdar-generate", {kTiny, "--device=cuda"}));
    EXPECT_THAT(outcome.err, HasSubstr("has no GPU that CUDA can use"));
    EXPECT_NE(outcome.exit_code, 0);
    if (ranks > 1) continue;  // mpirun has its say
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

TEST(ScoreTest, LogprobsAreThoseOfTheGoldenLogitsAlsoInChunks) {
  const std::string folder = std::string(SDAR_SOURCE_DIR) + "/tests/golden/moe";
  auto golden = SafetensorsFile::Open(folder + "/expected/forward.safetensors");
  ASSERT_TRUE(golden.ok());
  ScratchFolder scratch;
  std::string input;
  std::map<std::string, std::vector<float>> logits;
  for (const StoredTensor& tensor : golden->tensors()) {
    const auto bytes = golden->Bytes(tensor);
    const std::string id = tensor.name.substr(tensor.name.find('.') + 1);
    if (tensor.name[0] == 'i') {
      std::vector<int64_t> ids(bytes.size() / 8);
      std::memcpy(ids.data(), bytes.data(), bytes.size());
      Json record = {{"id", id}, {"ids", ids}, {"targets", std::vector<int>(ids.size(), 42)}};
      absl::StrAppend(&input, DumpJson(record), "\n");
    } else {
      logits[id].resize(bytes.size() / 4);
      std::memcpy(logits[id].data(), bytes.data(), bytes.size());
    }
  }
  WriteText(scratch.File("in"), input);
  for (const char* rows : {"--max-batch-rows=8", "--max-batch-rows=512"}) {
    const Outcome outcome =
        RunProcess(OnRanks(2, "sdar-score",
                           {"--model=" + folder, "--dtype=float32", rows,
                            "--input=" + scratch.File("in"), "--output=" + scratch.File("out")}));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    for (const Json& record : ReadRecords(scratch.File("out"))) {
      const std::vector<float>& z = logits.at(record["id"].get<std::string>());
      const size_t vocab = z.size() / record["logprobs"].size();
      for (size_t row = 0; row < record["logprobs"].size(); ++row) {
        double sum = 0;
        for (size_t i = 0; i < vocab; ++i) sum += std::exp(double{z[row * vocab + i]});
        EXPECT_NEAR(record["logprobs"][row].get<double>(), z[row * vocab + 42] - std::log(sum),
                    1e-4);
      }
    }
  }
}

TEST(ScoreTest, BadLinesGetErrorRecords) {
  ScratchFolder folder;
  WriteText(folder.File("in"),
            "{\"id\": 1, \"ids\": [1, 2]}\n{\"id\": 2, \"ids\": [99999]}\n{\"id\": 3}\n"
            "{\"id\": 4, \"ids\": [1], \"targets\": [1, 2]}\n");
  const Outcome outcome = RunProcess(OnRanks(
      1, "sdar-score", {kTiny, "--input=" + folder.File("in"), "--output=" + folder.File("out")}));
  EXPECT_EQ(outcome.exit_code, 1);
  const std::vector<Json> records = ReadRecords(folder.File("out"));
  ASSERT_EQ(records.size(), 4u);
  EXPECT_EQ(records[0]["logprobs"].size(), 2u);
  EXPECT_THAT(records[1]["error"].get<std::string>(), HasSubstr("1024"));
  EXPECT_THAT(records[2]["error"].get<std::string>(), HasSubstr("ids"));
  EXPECT_THAT(records[3]["error"].get<std::string>(), HasSubstr("targets"));
}

}  // namespace
}  // namespace sdar
