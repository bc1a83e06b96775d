// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/prefill_pace.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/numeric/bits.h"

namespace sdar {
namespace {

constexpr double kWeight = 0.5;  // of a new measurement
constexpr double kOutlier = 2;   // a measurement counts as this many times what was known, at most
constexpr double kLeastPart = 0.05;  // of a step, that prompts took
constexpr int64_t kStepsBetweenRests = 32;
constexpr double kMostDebt = 16;  // of a step's share

}  // namespace

size_t PrefillPace::RangeOf(int64_t position) {
  const auto octave = static_cast<size_t>(absl::bit_width(static_cast<uint64_t>(position)));
  return std::min(octave, kRanges - 1);
}

// Of the nearest range below that is known, or else above.
std::optional<double> PrefillPace::RateAt(int64_t position) const {
  const size_t range = RangeOf(position);
  for (size_t i = range + 1; i-- > 0;) {
    if (rates_[i].has_value()) return rates_[i];
  }
  for (size_t i = range + 1; i < kRanges; ++i) {
    if (rates_[i].has_value()) return rates_[i];
  }
  return std::nullopt;
}

double PrefillPace::ShareOf(int64_t decode_rows) const {
  return decode_cost_.Milliseconds(decode_rows) * share_ / (1 - share_);
}

double PrefillPace::Budget(int64_t decode_rows) const {
  if (!knows_decode_ || share_ >= 1) return std::numeric_limits<double>::infinity();
  return saved_ + ShareOf(decode_rows);
}

int64_t PrefillPace::RowsIn(double milliseconds, int64_t position, int64_t most) const {
  const std::optional<double> rate = RateAt(position);
  if (!rate.has_value()) return most;
  const double rows = std::max(milliseconds, 0.0) / *rate;
  return rows >= static_cast<double>(most) ? most : static_cast<int64_t>(rows);
}

double PrefillPace::Milliseconds(const Piece& piece) const {
  return RateAt(piece.position).value_or(0) * static_cast<double>(piece.rows);
}

void PrefillPace::AddRate(int64_t position, double rate) {
  const std::optional<double> known = RateAt(position);
  std::optional<double>& mean = rates_[RangeOf(position)];
  const double bounded = known.has_value() ? std::min(rate, kOutlier * *known) : rate;
  mean = mean.has_value() ? *mean + kWeight * (bounded - *mean) : bounded;
}

bool PrefillPace::WantsRest() const {
  return share_ < 1 && mixed_steps_ >= (knows_decode_ ? kStepsBetweenRests : 1);
}

void PrefillPace::Note(int64_t decode_rows, absl::Span<const Piece> pieces, bool waited,
                       absl::Duration time) {
  if (pieces.empty()) {
    if (decode_rows == 0) return;
    decode_cost_.Add(decode_rows, time);
    knows_decode_ = true;
    mixed_steps_ = 0;
    saved_ = waited && share_ < 1 ? saved_ + ShareOf(decode_rows) : 0;
    return;
  }
  if (decode_rows > 0) ++mixed_steps_;
  if (decode_rows > 0 && !knows_decode_) return;
  const double milliseconds = absl::ToDoubleMilliseconds(time);
  const double decode = decode_rows > 0 ? decode_cost_.Milliseconds(decode_rows) : 0;
  const double taken = std::max(milliseconds - decode, kLeastPart * milliseconds);
  NotePieces(pieces, taken);
  if (decode_rows == 0 || share_ >= 1) return;
  const double left = saved_ + ShareOf(decode_rows) - taken;
  // What is left over is not for later; a debt is, but not for long: one slow step may be chance.
  saved_ = std::clamp(left, -kMostDebt * ShareOf(decode_rows), 0.0);
}

// Where what they should have taken is known, it says how they shared the time; otherwise their
// rows do.
void PrefillPace::NotePieces(absl::Span<const Piece> pieces, double milliseconds) {
  double expected = 0, rows = 0;
  for (const Piece& piece : pieces) {
    expected += Milliseconds(piece);
    rows += static_cast<double>(piece.rows);
  }
  for (const Piece& piece : pieces) {
    const double known = RateAt(piece.position).value_or(0);
    AddRate(piece.position, expected > 0 ? known * milliseconds / expected : milliseconds / rows);
  }
}

}  // namespace sdar
