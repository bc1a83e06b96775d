// SPDX-License-Identifier: Apache-2.0
// Defines one instruction set's SimdKernels. The including file defines SDAR_LANES (floats in a
// vector), SDAR_HAS_DOT, SDAR_TILES, SDAR_TARGET (the variable) and SDAR_TARGET_NAME, and is
// compiled with that set's flags.
#include <utility>

#include <stddef.h>
#include <stdint.h>

#include "kernels/cpu/simd/kernels.h"

#define SDAR_TILES_NONE 0
#define SDAR_TILES_HARDWARE 1
#define SDAR_TILES_EMULATED 2
#if defined(__AVX512F__)
#define SDAR_HAS_AVX512 1
#include <immintrin.h>
#else
#define SDAR_HAS_AVX512 0
#endif

namespace sdar {
namespace {

// Each builds on those before it.
// clang-format off
#include "kernels/cpu/simd/vector-inl.h"
#include "kernels/cpu/simd/matmul-inl.h"
#if SDAR_TILES != SDAR_TILES_NONE
#include "kernels/cpu/simd/tiles-inl.h"
#include "kernels/cpu/simd/tile_matmul-inl.h"
#endif
#include "kernels/cpu/simd/rows-inl.h"
#include "kernels/cpu/simd/key_tiles-inl.h"
#include "kernels/cpu/simd/attention-inl.h"
#if SDAR_TILES != SDAR_TILES_NONE
#include "kernels/cpu/simd/tile_attention-inl.h"
#elif SDAR_HAS_DOT
#include "kernels/cpu/simd/attention_dot-inl.h"
#endif
#include "kernels/cpu/simd/draw-inl.h"
// clang-format on

void Attention(const AttentionItem& a) {
  if (!a.bfloat16) return AttendItem<false>(a);
#if SDAR_TILES != SDAR_TILES_NONE
  if (a.head_dim % (2 * kTileWords) == 0) return TileAttention(a).Run();
#elif SDAR_HAS_DOT
  if (a.head_dim == 128) return AttendItemDots<128>(a);
  if (a.head_dim % (2 * kLanes) == 0) return AttendItemDots<0>(a);
#endif
  AttendItem<true>(a);
}

}  // namespace

const SimdKernels SDAR_TARGET = {
    SDAR_TARGET_NAME,
#if SDAR_TILES == SDAR_TILES_NONE
    {PackRows<BFloat16Product>, MultiplyTile<BFloat16Product>, 1, BFloat16Product::kPacked},
    {PackRows<Float32Product>, MultiplyTile<Float32Product>, 1, 1},
    {PackRows<Int8Product>, MultiplyInt8<MultiplyTile<Int8Product>>, 1, 1},
#else
    {PackTileRows, MultiplyByTiles<BFloat16Tiles>, kMostTiles, 1},
    {PackRows<Float32Product>, MultiplyTile<Float32Product>, 1, 1},
    {PackTileRows, MultiplyInt8<MultiplyByTiles<Int8Tiles>>, kMostTiles, 1},
#endif
    Interleave,
    QuantizeRow,
    AddRmsNorm,
    NormRope,
    RoundBf16,
    Attention,
    SDAR_TILES == SDAR_TILES_NONE ? 16 : 64,
    SwiGlu,
    AddScaled,
    MaxOf,
    ExpSums,
    DrawGroups,
};

}  // namespace sdar
