// SPDX-License-Identifier: Apache-2.0
// Instruction sets of the CPU backend, from the most common to the most capable.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "kernels/cpu/simd_kernels.h"

namespace sdar {

// Ordered: a machine that has one has all before it, so that the minimum over ranks is common to
// all.
enum class InstructionSet { kPortable, kAvx2, kAvx512, kAvx512Bf16 };

// The most capable set of this machine.
InstructionSet BestInstructionSet();

// "portable", "avx2", "avx512", "avx512_bf16".
absl::string_view Name(InstructionSet set);

// Reads a name; "auto" is BestInstructionSet(). InvalidArgument names the sets this machine has.
absl::StatusOr<InstructionSet> ParseInstructionSet(absl::string_view name);

// The loops of a set. Requires: set <= BestInstructionSet().
const SimdKernels& KernelsFor(InstructionSet set);

}  // namespace sdar
