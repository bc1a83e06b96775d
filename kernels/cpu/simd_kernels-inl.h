// SPDX-License-Identifier: Apache-2.0
// Defines one instruction set's SimdKernels. The including file defines SDAR_LANES (floats in a
// vector), SDAR_HAS_DOT, SDAR_TARGET (the variable) and SDAR_TARGET_NAME, and is compiled with
// that set's flags.
#include <utility>

#include <stddef.h>
#include <stdint.h>

#include "kernels/cpu/simd_kernels.h"
#if SDAR_LANES == 16
#include <immintrin.h>
#endif

namespace sdar {
namespace {

// Each builds on those before it.
// clang-format off
#include "kernels/cpu/simd_vector-inl.h"
#include "kernels/cpu/simd_matmul-inl.h"
#include "kernels/cpu/simd_rows-inl.h"
#include "kernels/cpu/simd_key_tiles-inl.h"
#include "kernels/cpu/simd_attention-inl.h"
#if SDAR_HAS_DOT
#include "kernels/cpu/simd_attention_dot-inl.h"
#endif
#include "kernels/cpu/simd_draw-inl.h"
// clang-format on

void Attention(const AttentionItem& a) {
  if (!a.bfloat16) return AttendItem<false>(a);
#if SDAR_HAS_DOT
  if (a.head_dim == 128) return AttendItemDots<128>(a);
  if (a.head_dim % (2 * kLanes) == 0) return AttendItemDots<0>(a);
#endif
  AttendItem<true>(a);
}

}  // namespace

const SimdKernels SDAR_TARGET = {
    SDAR_TARGET_NAME,
    MultiplyTile<BFloat16Product>,
    MultiplyTile<Float32Product>,
    MultiplyInt8,
    PackRows,
    Interleave,
    QuantizeRow,
    AddRmsNorm,
    NormRope,
    RoundBf16,
    Attention,
    SwiGlu,
    AddScaled,
    MaxOf,
    ExpSums,
    DrawGroups,
};

}  // namespace sdar
