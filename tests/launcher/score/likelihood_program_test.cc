// SPDX-License-Identifier: Apache-2.0
// sdar-score --likelihood from the outside.
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/json.h"
#include "tests/launcher/process.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

const std::string kTiny = std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny";

struct Scored {
  Outcome outcome;
  std::vector<Json> records;
};

Scored Score(int ranks, const std::string& input, std::vector<std::string> flags = {}) {
  ScratchFolder folder;
  WriteText(folder.File("in"), input);
  flags.insert(flags.end(), {"--likelihood", "--model=" + kTiny, "--input=" + folder.File("in"),
                             "--output=" + folder.File("out")});
  Scored scored;
  scored.outcome = RunProcess(OnRanks(ranks, "sdar-score", flags));
  const std::string text = ReadText(folder.File("out"));
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    auto record = ParseJson(line, "the record");
    EXPECT_TRUE(record.ok()) << record.status();
    if (record.ok()) scored.records.push_back(*record);
  }
  return scored;
}

std::string LinesOf(const Json& runs) {
  std::string input;
  for (size_t i = 0; i < runs.size(); ++i) {
    absl::StrAppend(
        &input,
        DumpJson({{"id", i}, {"ids", runs[i]["ids"]}, {"prompt_length", runs[i]["prompt_length"]}}),
        "\n");
  }
  return input;
}

TEST(LikelihoodProgramTest, WritesTheReferencesInTheOrderOfTheInputOnRanksAndReplicas) {
  const Json runs = (*ReadJsonFile(kTiny + "/likelihood.json"))["runs"];
  const std::string input = LinesOf(runs);
  const std::pair<int, std::vector<std::string>> cases[] = {
      {1, {"--max-sequences=2"}}, {2, {}}, {4, {}}, {2, {"--tensor-parallel=1"}}};
  for (auto [ranks, flags] : cases) {
    flags.push_back("--dtype=float32");
    const Scored scored = Score(ranks, input, flags);
    ASSERT_EQ(scored.outcome.exit_code, 0) << scored.outcome.err;
    ASSERT_EQ(scored.records.size(), runs.size());
    for (size_t i = 0; i < runs.size(); ++i) {
      const Json& record = scored.records[i];
      EXPECT_EQ(record["id"], i);
      EXPECT_EQ(record["greedy"], runs[i]["greedy"]) << i;
      ASSERT_EQ(record["logprobs"].size(), runs[i]["logprobs"].size());
      EXPECT_NEAR(record["sum"].get<double>(), runs[i]["sum"].get<double>(), 1e-2);
      for (size_t t = 0; t < record["logprobs"].size(); ++t) {
        EXPECT_NEAR(record["logprobs"][t].get<double>(), runs[i]["logprobs"][t].get<double>(),
                    1e-4);
      }
    }
  }
}

TEST(LikelihoodProgramTest, TheMostProbableIdsComeWhereTheyAreAskedFor) {
  const Scored scored = Score(1,
                              "{\"id\": 1, \"ids\": [957, 262, 198], \"top_logprobs\": 3}\n"
                              "{\"id\": 2, \"ids\": [957, 262, 198]}\n");
  ASSERT_EQ(scored.outcome.exit_code, 0) << scored.outcome.err;
  ASSERT_EQ(scored.records.size(), 2u);
  EXPECT_EQ(scored.records[0]["logprobs"], scored.records[1]["logprobs"]);
  EXPECT_FALSE(scored.records[1].contains("top"));
  ASSERT_EQ(scored.records[0]["top"].size(), 3u);
  for (size_t t = 0; t < 3; ++t) {
    const Json& top = scored.records[0]["top"][t];
    ASSERT_EQ(top.size(), 3u);
    EXPECT_GE(top[0]["logprob"].get<double>(), top[1]["logprob"].get<double>());
    EXPECT_GE(top[0]["logprob"].get<double>(), scored.records[0]["logprobs"][t].get<double>());
  }
}

TEST(LikelihoodProgramTest, BadLinesGetErrorRecordsInTheirPlaces) {
  const Scored scored = Score(2,
                              "{\"id\": 1, \"ids\": [1, 2]}\n"
                              "\n"
                              "{\"id\": 2, \"ids\": [99999]}\n"
                              "{\"ids\": [1], \"prompt_length\": 1}\n"
                              "{\"id\": 4, \"ids\": [1], \"targets\": [1]}\n"
                              "{\"id\": 5, \"ids\": [1], \"top_logprobs\": 21}\n"
                              "{\"id\": 6, \"ids\": [3]}\n");
  EXPECT_EQ(scored.outcome.exit_code, 1);
  ASSERT_EQ(scored.records.size(), 6u);
  EXPECT_EQ(scored.records[0]["logprobs"].size(), 2u);
  EXPECT_EQ(scored.records[1]["id"], 2);
  EXPECT_EQ(scored.records[1]["line"], 3);
  EXPECT_THAT(scored.records[1]["error"].get<std::string>(), HasSubstr("below 1024"));
  EXPECT_EQ(scored.records[2]["id"], 4);  // its line's number
  EXPECT_THAT(scored.records[2]["error"].get<std::string>(), HasSubstr("prompt_length"));
  EXPECT_THAT(scored.records[3]["error"].get<std::string>(), HasSubstr("unknown field 'targets'"));
  EXPECT_THAT(scored.records[4]["error"].get<std::string>(), HasSubstr("top_logprobs"));
  EXPECT_EQ(scored.records[5]["logprobs"].size(), 1u);
}

TEST(LikelihoodProgramTest, AnEmptyInputHasAnEmptyOutput) {
  const Scored scored = Score(1, "");
  EXPECT_EQ(scored.outcome.exit_code, 0) << scored.outcome.err;
  EXPECT_TRUE(scored.records.empty());
}

TEST(LikelihoodProgramTest, LogitsAreRefused) {
  ScratchFolder folder;
  const Scored scored = Score(1, "", {"--logits=" + folder.File("logits")});
  EXPECT_EQ(scored.outcome.exit_code, 2);
  EXPECT_THAT(scored.outcome.err, HasSubstr("--logits: not with --likelihood"));
}

}  // namespace
}  // namespace sdar
