// SPDX-License-Identifier: Apache-2.0
// What every machine of the build's architecture has.
#define SDAR_LANES 4
#define SDAR_HAS_DOT 0
#define SDAR_TILES SDAR_TILES_NONE
#define SDAR_TARGET kSimdPortable
#define SDAR_TARGET_NAME "portable"
#include "kernels/cpu/simd/kernels-inl.h"
