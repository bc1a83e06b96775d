// SPDX-License-Identifier: Apache-2.0
// AVX-512 F, BW, DQ and VL; bfloat16 is widened.
#define SDAR_LANES 16
#define SDAR_HAS_DOT 0
#define SDAR_TILES SDAR_TILES_NONE
#define SDAR_TARGET kSimdAvx512
#define SDAR_TARGET_NAME "avx512"
#include "kernels/cpu/simd/kernels-inl.h"
