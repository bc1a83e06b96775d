// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/prefill_pace.h"

#include <cmath>

#include "gtest/gtest.h"

namespace sdar {
namespace {

using Piece = PrefillPace::Piece;

// A machine on which a step takes 2 ms and a tenth for every row, and a row of a prompt 10 us and
// 1 us for every position before it.
double RowMilliseconds(int64_t position) { return 0.01 + 0.001 * static_cast<double>(position); }
double StepMilliseconds(int64_t decode_rows, absl::Span<const Piece> pieces) {
  double time = decode_rows > 0 || !pieces.empty() ? 2 + 0.1 * static_cast<double>(decode_rows) : 0;
  for (const Piece& piece : pieces) {
    time += static_cast<double>(piece.rows) * RowMilliseconds(piece.position);
  }
  return time;
}

TEST(PrefillPaceTest, KnowsNoBoundBeforeItHasSeenSteps) {
  const PrefillPace pace(0.5);
  EXPECT_TRUE(std::isinf(pace.Budget(8)));
  EXPECT_EQ(pace.RowsIn(pace.Budget(8), 1000, 128), 128);
}

TEST(PrefillPaceTest, AShareOfAllIsNoBound) {
  PrefillPace pace(1);
  pace.Note(8, {}, absl::Milliseconds(1));
  pace.Note(0, {{128, 0}}, absl::Milliseconds(1));
  EXPECT_EQ(pace.RowsIn(pace.Budget(8), 5000, 128), 128);
}

TEST(PrefillPaceTest, APromptTakesItsShareOfTheStepsHoweverFarItIs) {
  for (const double share : {0.2, 0.5, 0.8}) {
    PrefillPace pace(share);
    pace.Note(32, {}, absl::Milliseconds(StepMilliseconds(32, {})));
    double with = 0;
    int steps = 0;
    for (int64_t position = 0; position < 20000; ++steps) {
      const int64_t rows = std::max<int64_t>(pace.RowsIn(pace.Budget(32), position, 128), 1);
      const Piece piece = {rows, position};
      const double time = StepMilliseconds(32, {piece});
      pace.Note(32, {piece}, absl::Milliseconds(time));
      with += time;
      position += rows;
    }
    const double without = steps * StepMilliseconds(32, {});
    EXPECT_LT(with / without, 1.15 / (1 - share)) << share;
    EXPECT_GT(with / without, 0.7 / (1 - share)) << share;
  }
}

TEST(PrefillPaceTest, PromptsRestWhereAStepWithoutThemIsNotKnownAndFromTimeToTime) {
  PrefillPace pace(0.5);
  EXPECT_FALSE(pace.WantsRest());
  pace.Note(0, {{128, 4000}}, absl::Milliseconds(StepMilliseconds(0, {{128, 4000}})));
  EXPECT_FALSE(pace.WantsRest());
  pace.Note(32, {{4, 100}}, absl::Milliseconds(6));
  EXPECT_TRUE(pace.WantsRest());
  pace.Note(32, {}, absl::Milliseconds(StepMilliseconds(32, {})));
  int steps = 0;
  for (; steps < 1000 && !pace.WantsRest(); ++steps)
    pace.Note(32, {{4, 100}}, absl::Milliseconds(6));
  EXPECT_GE(steps, 16);
  EXPECT_LT(steps, 1000);
  pace.Note(32, {}, absl::Milliseconds(5));
  EXPECT_FALSE(pace.WantsRest());
  EXPECT_FALSE(PrefillPace(1).WantsRest());
}

TEST(PrefillPaceTest, OneSlowStepDoesNotStopPrompts) {
  PrefillPace pace(0.5);
  pace.Note(32, {}, absl::Milliseconds(5));
  pace.Note(32, {{64, 100}}, absl::Milliseconds(10));
  const int64_t before = pace.RowsIn(pace.Budget(32), 100, 512);
  pace.Note(32, {{64, 100}}, absl::Seconds(10));
  EXPECT_GE(pace.RowsIn(pace.Budget(32), 100, 512), before / 2);
}

}  // namespace
}  // namespace sdar
