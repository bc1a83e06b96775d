// SPDX-License-Identifier: Apache-2.0
#include "runtime/model/step_padding.h"

#include <bit>

#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr TokenId kZeroRow = -1;

int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

int64_t PaddedSize(int64_t rows, int64_t multiple) {
  SDAR_CHECK(rows > 0 && multiple > 0);
  if (rows <= 16) return RoundUp(rows, multiple);
  const int64_t step = int64_t{1} << (std::bit_width(static_cast<uint64_t>(rows - 1)) - 4);
  return RoundUp(RoundUp(rows, step), multiple);
}

void Pad(int64_t rows, int64_t num_segments, RowInputs& inputs) {
  const auto before = static_cast<int64_t>(inputs.token_ids.size());
  SDAR_CHECK(rows >= before);
  AttentionSegment added;
  added.first_row = static_cast<int32_t>(before);
  added.num_rows = static_cast<int32_t>(rows - before);
  added.block_length = added.num_rows;
  if (added.num_rows > 0) inputs.segments.push_back(added);
  SDAR_CHECK(num_segments >= static_cast<int64_t>(inputs.segments.size()));
  const AttentionSegment empty = {static_cast<int32_t>(rows), 0, 0, 1, 0};
  inputs.segments.resize(static_cast<size_t>(num_segments), empty);
  inputs.token_ids.resize(static_cast<size_t>(rows), kZeroRow);
  inputs.positions.resize(static_cast<size_t>(rows), 0);
  inputs.kv_slots.resize(static_cast<size_t>(rows), -1);
}

}  // namespace sdar
