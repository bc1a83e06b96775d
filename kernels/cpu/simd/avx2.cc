// SPDX-License-Identifier: Apache-2.0
// AVX2 and FMA; bfloat16 is widened.
#define SDAR_LANES 8
#define SDAR_HAS_DOT 0
#define SDAR_TILES SDAR_TILES_NONE
#define SDAR_TARGET kSimdAvx2
#define SDAR_TARGET_NAME "avx2"
#include "kernels/cpu/simd/kernels-inl.h"
