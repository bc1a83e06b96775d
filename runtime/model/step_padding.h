// SPDX-License-Identifier: Apache-2.0
// Rows that stand for nothing, added so that steps of nearly one size are alike to a device that
// launches again what it has captured.
#pragma once

#include <cstdint>
#include <vector>

#include "common/ids.h"
#include "kernels/backend.h"

namespace sdar {

// Steps of more rows are not captured: their arithmetic leaves little for launches to add.
inline constexpr int64_t kMostCapturedRows = 1024;

// The size that steps of `rows` rows are padded to, which few sizes are: up to 16 each its own,
// then eighths of octaves (at most an eighth is added), and a multiple of `multiple` in any case.
// Requires: rows, multiple > 0.
int64_t PaddedSize(int64_t rows, int64_t multiple);

// What a device must know of a step's rows.
struct RowInputs {
  std::vector<TokenId> token_ids;  // [rows]
  std::vector<int32_t> positions;  // [rows]
  std::vector<int64_t> kv_slots;   // [rows]
  std::vector<AttentionSegment> segments;
};

// Makes `inputs` have `rows` rows and `num_segments` segments. The rows added have no token, so
// they are zero and stay so in every layer; they see each other only and write no K/V. The segments
// added are one with these rows, and empty ones. Requires: no more are there yet; one segment more
// where rows are added.
void Pad(int64_t rows, int64_t num_segments, RowInputs& inputs);

}  // namespace sdar
