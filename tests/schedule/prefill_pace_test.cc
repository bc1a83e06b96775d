// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/prefill_pace.h"

#include <cmath>
#include <vector>

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
  pace.Note(8, {}, false, absl::Milliseconds(1));
  pace.Note(0, {{128, 0}}, false, absl::Milliseconds(1));
  EXPECT_EQ(pace.RowsIn(pace.Budget(8), 5000, 128), 128);
}

// Reads a prompt of 20,000 tokens while other sequences decode, in pieces as the scheduler does.
// Returns by what factor the prompt slows the others.
double SlowedBy(double share, int64_t decode_rows) {
  constexpr int64_t kFewest = 64;
  PrefillPace pace(share);
  pace.Note(decode_rows, {}, false, absl::Milliseconds(StepMilliseconds(decode_rows, {})));
  double time = 0;
  int steps = 0;
  for (int64_t position = 0; position < 20000; ++steps) {
    const double budget = pace.Budget(decode_rows);
    std::vector<Piece> pieces;
    if (!pace.WantsRest() && pace.RowsIn(budget, position, kFewest) == kFewest) {
      pieces = {{pace.RowsIn(budget, position, 128), position}};
      position += pieces[0].rows;
    }
    const double step = StepMilliseconds(decode_rows, pieces);
    pace.Note(decode_rows, pieces, pieces.empty(), absl::Milliseconds(step));
    time += step;
  }
  return time / (steps * StepMilliseconds(decode_rows, {}));
}

TEST(PrefillPaceTest, APromptTakesItsShareOfTheStepsHoweverFarItIs) {
  for (const double share : {0.2, 0.5, 0.8}) {
    for (const int64_t decode_rows : {8, 64, 1000}) {
      const double slowed = SlowedBy(share, decode_rows);
      EXPECT_LT(slowed, 1.1 / (1 - share)) << share << ", " << decode_rows << " rows";
      // A thousand rows take so long that a piece of the most rows is less than the share.
      if (decode_rows < 1000) {
        EXPECT_GT(slowed, 0.8 / (1 - share)) << share;
      }
    }
  }
}

TEST(PrefillPaceTest, WhatPromptsLeaveWhileTheyWaitIsTheirsLater) {
  PrefillPace pace(0.5);
  pace.Note(32, {}, false, absl::Milliseconds(4));
  EXPECT_NEAR(pace.Budget(32), 4, 1e-9);
  pace.Note(32, {}, true, absl::Milliseconds(4));
  pace.Note(32, {}, true, absl::Milliseconds(4));
  EXPECT_NEAR(pace.Budget(32), 12, 1e-9);
  pace.Note(32, {{64, 100}}, false, absl::Milliseconds(20));
  EXPECT_NEAR(pace.Budget(32), 0, 1e-9);  // 16 of 12 were taken
  pace.Note(32, {}, false, absl::Milliseconds(4));
  EXPECT_NEAR(pace.Budget(32), 4, 1e-9);
}

TEST(PrefillPaceTest, PromptsRestWhereAStepWithoutThemIsNotKnownAndFromTimeToTime) {
  PrefillPace pace(0.5);
  EXPECT_FALSE(pace.WantsRest());
  pace.Note(0, {{128, 4000}}, false, absl::Milliseconds(StepMilliseconds(0, {{128, 4000}})));
  EXPECT_FALSE(pace.WantsRest());
  pace.Note(32, {{4, 100}}, false, absl::Milliseconds(6));
  EXPECT_TRUE(pace.WantsRest());
  pace.Note(32, {}, false, absl::Milliseconds(StepMilliseconds(32, {})));
  int steps = 0;
  for (; steps < 1000 && !pace.WantsRest(); ++steps)
    pace.Note(32, {{4, 100}}, false, absl::Milliseconds(6));
  EXPECT_GE(steps, 16);
  EXPECT_LT(steps, 1000);
  pace.Note(32, {}, false, absl::Milliseconds(5));
  EXPECT_FALSE(pace.WantsRest());
  EXPECT_FALSE(PrefillPace(1).WantsRest());
}

TEST(PrefillPaceTest, OneSlowStepDoesNotStopPrompts) {
  PrefillPace pace(0.5);
  pace.Note(32, {}, false, absl::Milliseconds(5));
  pace.Note(32, {{64, 100}}, false, absl::Milliseconds(10));
  const int64_t before = pace.RowsIn(pace.Budget(32), 100, 512);
  pace.Note(32, {{64, 100}}, false, absl::Seconds(10));
  int steps = 0;
  while (pace.RowsIn(pace.Budget(32), 100, 512) < before / 2 && ++steps < 100) {
    pace.Note(32, {}, true, absl::Milliseconds(5));
  }
  EXPECT_LT(steps, 40);
}

}  // namespace
}  // namespace sdar
