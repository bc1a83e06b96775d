// SPDX-License-Identifier: Apache-2.0
// What amx is built on, with tiles of plain arithmetic: for checking it on any machine.
#define SDAR_LANES 16
#define SDAR_HAS_DOT 0
#define SDAR_TILES SDAR_TILES_EMULATED
#define SDAR_TARGET kSimdAmxEmulated
#define SDAR_TARGET_NAME "amx_emulated"
#include "kernels/cpu/simd/kernels-inl.h"
