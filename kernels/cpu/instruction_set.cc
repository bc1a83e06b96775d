// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/instruction_set.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar {

InstructionSet BestInstructionSet() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    return InstructionSet::kPortable;
  }
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")) {
    return InstructionSet::kAvx2;
  }
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni")
             ? InstructionSet::kAvx512Bf16
             : InstructionSet::kAvx512;
#else
  return InstructionSet::kPortable;
#endif
}

absl::string_view Name(InstructionSet set) {
  switch (set) {
    case InstructionSet::kPortable:
      return "portable";
    case InstructionSet::kAvx2:
      return "avx2";
    case InstructionSet::kAvx512:
      return "avx512";
    case InstructionSet::kAvx512Bf16:
      return "avx512_bf16";
  }
  return "unknown";
}

absl::StatusOr<InstructionSet> ParseInstructionSet(absl::string_view name) {
  const InstructionSet best = BestInstructionSet();
  if (name == "auto") return best;
  std::string known = "auto";
  for (int i = 0; i <= static_cast<int>(best); ++i) {
    const auto set = static_cast<InstructionSet>(i);
    if (name == Name(set)) return set;
    absl::StrAppend(&known, ", ", Name(set));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("instruction set '", name, "': this machine has ", known));
}

const SimdKernels& KernelsFor(InstructionSet set) {
  SDAR_CHECK(set <= BestInstructionSet());
#if defined(__x86_64__)
  switch (set) {
    case InstructionSet::kPortable:
      return kSimdPortable;
    case InstructionSet::kAvx2:
      return kSimdAvx2;
    case InstructionSet::kAvx512:
      return kSimdAvx512;
    case InstructionSet::kAvx512Bf16:
      return kSimdAvx512Bf16;
  }
#endif
  return kSimdPortable;
}

}  // namespace sdar
