// SPDX-License-Identifier: Apache-2.0
// AVX-512 with VDPBF16PS.
#define SDAR_LANES 16
#define SDAR_HAS_DOT 1
#define SDAR_TILES SDAR_TILES_NONE
#define SDAR_TARGET kSimdAvx512Bf16
#define SDAR_TARGET_NAME "avx512_bf16"
#include "kernels/cpu/simd/kernels-inl.h"
