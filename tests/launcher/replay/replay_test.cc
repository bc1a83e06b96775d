// SPDX-License-Identifier: Apache-2.0
// Recorded plans, replayed from the outside.
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/step/plan_record.h"
#include "tests/launcher/process.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

const std::string kTiny = std::string("--model=") + SDAR_SOURCE_DIR + "/models/sdar-tiny";

class ReplayTest : public ::testing::Test {
 protected:
  // Records answers that sample with whole logits, penalties and several samples.
  void Record(const std::string& dtype) {
    WriteText(
        folder_.File("in"),
        "{\"id\": 1, \"messages\": [{\"role\": \"user\", \"content\": \"Who are you?\"}]}\n"
        "{\"id\": 2, \"prompt\": \"Hello\", \"max_tokens\": 30, \"temperature\": 3, "
        "\"top_p\": 0.99, \"seed\": 5, \"ignore_eos\": true}\n"
        "{\"id\": 3, \"prompt\": \"Hello\", \"max_tokens\": 20, \"n\": 2, \"temperature\": 1, "
        "\"seed\": 3, \"repetition_penalty\": 1.2}\n");
    const Outcome outcome = RunProcess(
        OnRanks(2, "sdar-generate",
                {kTiny, "--dtype=" + dtype, "--input=" + folder_.File("in"),
                 "--output=" + folder_.File("out"), "--record-plans=" + folder_.File("plans")}));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }

  Outcome Replay(int ranks, const std::vector<std::string>& flags) const {
    std::vector<std::string> all = {kTiny, folder_.File("plans")};
    all.insert(all.end(), flags.begin(), flags.end());
    return RunProcess(OnRanks(ranks, "sdar-replay", all));
  }

  ScratchFolder folder_;
};

TEST(PlanRecorderTest, WhatWasAddedIsInTheFileThoughTheRecorderNeverEnds) {
  ScratchFolder folder;
  auto recorder = PlanRecorder::Create(folder.File("plans"), {});
  ASSERT_TRUE(recorder.ok());
  ASSERT_TRUE((*recorder)->Add({}, std::vector<LogitSummary>(3)).ok());
  auto reader = PlanRecordReader::Open(folder.File("plans"));
  ASSERT_TRUE(reader.ok());
  auto step = (*reader)->Next();
  ASSERT_TRUE(step.ok() && step->has_value());
  EXPECT_EQ((*step)->summaries_size(), 3);
  step = (*reader)->Next();
  EXPECT_TRUE(step.ok() && !step->has_value());
}

TEST_F(ReplayTest, GivesTheRecordedBitsOnAsManyRanks) {
  Record("bfloat16");
  const Outcome outcome = Replay(2, {"--dtype=bfloat16"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("the same bits"));
}

TEST_F(ReplayTest, StaysWithinTheToleranceOnOtherRanks) {
  Record("float32");
  for (int ranks : {1, 4}) {
    const Outcome outcome = Replay(ranks, {"--dtype=float32"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("tolerance 0.001"));
  }
}

TEST_F(ReplayTest, FailsWhereTheDifferenceIsLarger) {
  Record("float32");
  const Outcome outcome = Replay(2, {"--dtype=bfloat16", "--tolerance=1e-9"});
  EXPECT_EQ(outcome.exit_code, 1) << outcome.out;
  EXPECT_THAT(outcome.err, HasSubstr("differs from the record"));
}

TEST_F(ReplayTest, SaysWhereARecordBreaksOffAndWhatIsNone) {
  Record("bfloat16");
  const std::string whole = ReadText(folder_.File("plans"));
  WriteText(folder_.File("plans"), whole.substr(0, whole.size() / 2));
  const Outcome broken = Replay(2, {"--dtype=bfloat16"});
  EXPECT_NE(broken.exit_code, 0);
  EXPECT_THAT(broken.err, HasSubstr("breaks off or is damaged after"));
  WriteText(folder_.File("plans"), "\xFF\xFF hello");
  const Outcome none = Replay(2, {"--dtype=bfloat16"});
  EXPECT_NE(none.exit_code, 0);
  EXPECT_THAT(none.err, HasSubstr("not a record of plans"));
}

}  // namespace
}  // namespace sdar
