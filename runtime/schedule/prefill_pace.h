// SPDX-License-Identifier: Apache-2.0
// How much of a prompt a step takes while other sequences decode.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "absl/types/span.h"

#include "runtime/schedule/step_cost.h"

namespace sdar {

// Bounds the time that rows of prompts add to a step, so that they take a given share of the steps
// in which others decode. Rows are not the measure: the same number of them costs tens of times
// more far inside a long prompt than at its beginning. What a row costs by its position, and what a
// step costs without prompts, is learnt from the steps. One thread.
class PrefillPace {
 public:
  // Rows of one prompt in a step; the first of them is at `position`.
  struct Piece {
    int64_t rows = 0;
    int64_t position = 0;
  };

  // share: of a step's time, above 0 and at most 1, which is no bound.
  explicit PrefillPace(double share) : share_(share) {}

  // Milliseconds that prompts may add to a step of `decode_rows` other rows, at least 1: what they
  // may take of this step, and what they left of those before while they waited for enough.
  // Infinity where nothing is known yet.
  double Budget(int64_t decode_rows) const;
  // Rows at `position` that take `milliseconds`; at most `most`, which is also the answer where
  // nothing is known yet.
  int64_t RowsIn(double milliseconds, int64_t position, int64_t most) const;
  // What `piece` takes; 0 where nothing is known yet.
  double Milliseconds(const Piece& piece) const;

  // Whether a step in which others decode should have no prompts, to learn what it costs without:
  // after the first one that had some where that is not known, and from time to time.
  bool WantsRest() const;

  // Notes that a step of `decode_rows` rows and these pieces took `time`; `waited`: there were
  // prompts that left their share to later steps.
  void Note(int64_t decode_rows, absl::Span<const Piece> pieces, bool waited, absl::Duration time);

 private:
  static constexpr size_t kRanges = 32;  // of positions, by octave

  static size_t RangeOf(int64_t position);
  std::optional<double> RateAt(int64_t position) const;
  double ShareOf(int64_t decode_rows) const;
  void NotePieces(absl::Span<const Piece> pieces, double milliseconds);
  void AddRate(int64_t position, double rate);

  double share_;
  StepCost decode_cost_;  // of steps as they would be without prompts
  bool knows_decode_ = false;
  int64_t mixed_steps_ = 0;  // since a step without prompts
  double saved_ =
      0;  // milliseconds that prompts may take besides; below 0: that they took too many
  std::array<std::optional<double>, kRanges> rates_;  // milliseconds of a row
};

}  // namespace sdar
