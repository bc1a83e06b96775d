// SPDX-License-Identifier: Apache-2.0
// Instruction sets of the CPU backend, from the most common to the most capable.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "kernels/cpu/simd/kernels.h"

namespace sdar {

// From the most common to the most capable: a machine that has one has all before it. Last what
// stands for kAmx in checks, on every machine and slowly.
enum class InstructionSet { kPortable, kAvx2, kAvx512, kAvx512Bf16, kAmx, kAmxEmulated };

// The most capable set of this machine. The first call asks the system for the tiles of AMX, for
// the whole process.
InstructionSet BestInstructionSet();

// The sets of this machine up to the best, and then kAmxEmulated.
std::vector<InstructionSet> InstructionSetsHere();

// "portable", "avx2", "avx512", "avx512_bf16", "amx", "amx_emulated".
absl::string_view Name(InstructionSet set);

// Reads a name. InvalidArgument names the sets that this machine has.
absl::StatusOr<InstructionSet> ParseInstructionSet(absl::string_view name);

// The loops of a set. Requires: it is one of InstructionSetsHere().
const SimdKernels& KernelsFor(InstructionSet set);

}  // namespace sdar
