// SPDX-License-Identifier: Apache-2.0
// How fast a core multiplies when it reads nothing: what products with many rows are held against.
#pragma once

#include "kernels/cpu/core_assignment.h"
#include "kernels/cpu/instruction_set.h"

namespace sdar {

enum class PeakOf { kBFloat16, kFloat32, kInt8 };

// Operations per second (a multiplication and an addition are two), all threads of `cores`
// together, of the multiply-add instruction that `set` has for the type, with operands in
// registers; 0 where it has none of its own. Takes about 50 ms.
double MeasurePeak(InstructionSet set, PeakOf type, const CoreShare& cores);

}  // namespace sdar
