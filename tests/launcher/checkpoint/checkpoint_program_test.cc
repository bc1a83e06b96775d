// SPDX-License-Identifier: Apache-2.0
// Runs sdar-checkpoint as its users do.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sys/wait.h>

#include "tests/checkpoint/temp_checkpoint.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Outcome {
  int exit_code = -1;
  std::string output;  // standard output and standard error together
};

Outcome RunProgram(const std::string& arguments) {
  const std::string command = std::string(SDAR_BIN_DIR) + "/sdar-checkpoint " + arguments + " 2>&1";
  Outcome outcome;
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return outcome;
  char buffer[4096];
  for (size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
    outcome.output.append(buffer, n);
  }
  outcome.exit_code = WEXITSTATUS(pclose(pipe));
  return outcome;
}

TEST(CheckpointProgramTest, InspectPrintsTheModelAndItsRankCounts) {
  const Outcome outcome = RunProgram("inspect " SDAR_SOURCE_DIR "/models/sdar-tiny");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.output, AllOf(HasSubstr("sdar_moe"), HasSubstr("958, 956"),
                                    HasSubstr("4, from config.json"), HasSubstr("2048 bytes")));
}

TEST(CheckpointProgramTest, VerifyListsProblemsAndExitsWithTwo) {
  const TempCheckpoint folder(SmallDenseConfig());
  auto tensors = Declarations(SmallDenseConfig());
  tensors[1].shape = {3};
  tensors[2].shape = {3};
  WriteZeros(folder.File("model.safetensors"), tensors);
  const Outcome outcome = RunProgram("verify " + folder.path());
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.output, AllOf(HasSubstr(tensors[1].name), HasSubstr(tensors[2].name),
                                    HasSubstr("2 problems")));
}

TEST(CheckpointProgramTest, SynthesizeMakesWhatVerifyAccepts) {
  const TempCheckpoint shape(SmallMoeConfig());
  const TempFolder folder;
  const Outcome made =
      RunProgram("synthesize --layers=1 --seed=5 --shape=" + shape.File("config.json") + " " +
                 folder.File("new"));
  EXPECT_EQ(made.exit_code, 0) << made.output;
  EXPECT_THAT(made.output, HasSubstr("no tokenizer files"));
  EXPECT_EQ(RunProgram("verify " + folder.File("new")).exit_code, 0);
}

TEST(CheckpointProgramTest, AnUnknownCommandIsOneClearLine) {
  const Outcome outcome = RunProgram("check x");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.output,
            "sdar-checkpoint: command 'check': expected inspect, verify or synthesize (--help "
            "explains them)\n");
}

TEST(CheckpointProgramTest, HelpExplainsTheCommands) {
  EXPECT_EQ(RunProgram("--help").exit_code, 0);
  EXPECT_THAT(RunProgram("--help").output, HasSubstr("synthesize DIR"));
  EXPECT_THAT(RunProgram("synthesize --help").output, HasSubstr("--shape"));
}

TEST(CheckpointProgramTest, VerifyListsWhatHasNoEffect) {
  const TempCheckpoint folder(SmallDenseConfig());
  auto tensors = Declarations(SmallDenseConfig());
  tensors.push_back({"value_head.weight", StoredDType::kBF16, {16}});
  WriteZeros(folder.File("model.safetensors"), tensors);
  folder.Write("generation_config.json", R"({"num_beams": 4})");
  Json config = ToJson(SmallDenseConfig());
  config["logit_softcap"] = 30;
  folder.Write("config.json", DumpJson(config));
  const Outcome outcome = RunProgram("verify " + folder.path());
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_THAT(outcome.output, AllOf(HasSubstr("'value_head.weight'"), HasSubstr("'num_beams'"),
                                    HasSubstr("'logit_softcap'"), HasSubstr("no tokenizer")));
}

TEST(CheckpointProgramTest, VerifyReadsTheTokenizerAndTheTemplate) {
  const TempCheckpoint folder(SmallDenseConfig());
  const std::string tiny = SDAR_SOURCE_DIR "/models/sdar-tiny/";
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    std::filesystem::copy_file(tiny + name, folder.File(name));
  }
  EXPECT_EQ(RunProgram("verify " + folder.path()).exit_code, 0);
  folder.Write("chat_template.jinja", "{% for %}");
  const Outcome outcome = RunProgram("verify " + folder.path());
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.output, HasSubstr("chat template"));
}

TEST(CheckpointProgramTest, ANameIsLookedUpInTheCacheAndNeverFetched) {
  const TempFolder cache;
  const std::string snapshot = cache.File("models--JetLM--SDAR-8B-Chat-b32/snapshots/0123abcd");
  std::filesystem::create_directories(snapshot);
  ModelConfig config = SmallDenseConfig();
  config.block_size.reset();
  const TempCheckpoint made(config);
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::create_symlink(made.File(name), snapshot + "/" + name);
  }
  setenv("HF_HUB_CACHE", cache.path().c_str(), 1);
  const Outcome found = RunProgram("inspect JetLM/SDAR-8B-Chat-b32");
  const Outcome absent = RunProgram("inspect JetLM/SDAR-1.7B-Chat");
  unsetenv("HF_HUB_CACHE");
  EXPECT_EQ(found.exit_code, 0) << found.output;
  EXPECT_THAT(found.output,
              AllOf(HasSubstr("JetLM/SDAR-8B-Chat-b32"), HasSubstr("32, from the model's name")));
  EXPECT_EQ(absent.exit_code, 2);
  EXPECT_THAT(absent.output, HasSubstr("hf download JetLM/SDAR-1.7B-Chat"));
}

}  // namespace
}  // namespace sdar
