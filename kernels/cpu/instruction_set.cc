// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/instruction_set.h"

#include <algorithm>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

#if defined(__x86_64__)
bool HasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool HasAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool HasAvx512Bf16() {
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
}

// Whether the processor has tiles and products of bfloat16 and of bytes (CPUID 7, EDX bits 22, 24
// and 25), and the system lends them: old kernels, filters of system calls and some sandboxes do
// not.
bool HasAmx() {
  unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned int kBits = 1u << 22 | 1u << 24 | 1u << 25;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & kBits) != kBits) return false;
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

InstructionSet FindBest() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!HasAvx2()) return InstructionSet::kPortable;
  if (!HasAvx512()) return InstructionSet::kAvx2;
  if (!HasAvx512Bf16()) return InstructionSet::kAvx512;
  return HasAmx() ? InstructionSet::kAmx : InstructionSet::kAvx512Bf16;
#else
  return InstructionSet::kPortable;
#endif
}

}  // namespace

InstructionSet BestInstructionSet() {
  static const InstructionSet best = FindBest();
  return best;
}

std::vector<InstructionSet> InstructionSetsHere() {
  std::vector<InstructionSet> sets;
  for (int i = 0; i <= static_cast<int>(BestInstructionSet()); ++i) {
    sets.push_back(static_cast<InstructionSet>(i));
  }
  sets.push_back(InstructionSet::kAmxEmulated);
  return sets;
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
    case InstructionSet::kAmx:
      return "amx";
    case InstructionSet::kAmxEmulated:
      return "amx_emulated";
  }
  return "unknown";
}

absl::StatusOr<InstructionSet> ParseInstructionSet(absl::string_view name) {
  const std::vector<InstructionSet> sets = InstructionSetsHere();
  for (const InstructionSet set : sets) {
    if (name == Name(set)) return set;
  }
  const auto append_name = [](std::string* out, InstructionSet set) {
    absl::StrAppend(out, Name(set));
  };
  return absl::InvalidArgumentError(absl::StrCat("instruction set '", name, "': this machine has ",
                                                 absl::StrJoin(sets, ", ", append_name)));
}

const SimdKernels& KernelsFor(InstructionSet set) {
  const std::vector<InstructionSet> sets = InstructionSetsHere();
  SDAR_CHECK(std::find(sets.begin(), sets.end(), set) != sets.end());
  if (set == InstructionSet::kAmxEmulated) return kSimdAmxEmulated;
#if defined(__x86_64__)
  switch (set) {
    case InstructionSet::kAvx2:
      return kSimdAvx2;
    case InstructionSet::kAvx512:
      return kSimdAvx512;
    case InstructionSet::kAvx512Bf16:
      return kSimdAvx512Bf16;
    case InstructionSet::kAmx:
      return kSimdAmx;
    case InstructionSet::kPortable:
    case InstructionSet::kAmxEmulated:
      break;
  }
#endif
  return kSimdPortable;
}

}  // namespace sdar
