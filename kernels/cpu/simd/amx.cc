// SPDX-License-Identifier: Apache-2.0
// AVX-512 with the tile unit of AMX.
#define SDAR_LANES 16
#define SDAR_HAS_DOT 1
#define SDAR_TILES SDAR_TILES_HARDWARE
#define SDAR_TARGET kSimdAmx
#define SDAR_TARGET_NAME "amx"
#include "kernels/cpu/simd/kernels-inl.h"
