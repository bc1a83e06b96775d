// SPDX-License-Identifier: Apache-2.0
// Reduces one row of logits to a LogitSummary on the CPU.
#pragma once

#include "kernels/backend.h"
#include "kernels/cpu/simd/kernels.h"

namespace sdar {

// Turns the row's logits into z in place and summarises it: penalties (repetition over prompt and
// output, then frequency and presence over the output), bias, temperature; sums over all ids; then
// forbidden ids become -inf and the candidates and the draw are taken. logits: [num_ids] for
// vocabulary ids first_id ...
LogitSummary SummarizeRow(const SimdKernels& kernels, int64_t first_id,
                          absl::Span<const TokenId> forbidden, const LogitRowSpec& spec,
                          absl::Span<float> logits);

}  // namespace sdar
