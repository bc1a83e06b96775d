// SPDX-License-Identifier: Apache-2.0
#include "bench/device/arithmetic_peak.h"

#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "kernels/cpu/thread_pool.h"

namespace sdar {
namespace {

constexpr int64_t kInstructions = 12;  // a round: enough to hide the latency of two units

// 120 million instructions, or 7.2 million products of tiles: 30 to 60 ms.
constexpr int64_t kRounds = 10000000;
constexpr int64_t kTileRounds = 600000;

struct Loop {
  void (*run)(int64_t rounds) = nullptr;
  double operations = 0;  // of one instruction
  int64_t rounds = kRounds;
};

#if defined(__x86_64__)
// Assembly, so that the sums stay in their registers. All registers are zero.
#define SDAR_REGISTER_LOOP(name, instruction, width)                                            \
  void name(int64_t rounds) {                                                                   \
    asm volatile(                                                                               \
        ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13\n vpxor %%xmm\\r, %%xmm\\r, %%xmm\\r\n .endr\n" \
        "1:\n"                                                                                  \
        ".irp r,0,1,2,3,4,5,6,7,8,9,10,11\n " instruction " %%" width "12, %%" width            \
        "13, %%" width                                                                          \
        "\\r\n .endr\n"                                                                         \
        "dec %0\n jnz 1b\n"                                                                     \
        : "+r"(rounds)                                                                          \
        :                                                                                       \
        : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
          "xmm10", "xmm11", "xmm12", "xmm13");                                                  \
  }
SDAR_REGISTER_LOOP(MultiplyBFloat16, "vdpbf16ps", "zmm")
SDAR_REGISTER_LOOP(MultiplyInt8, "vpdpbusd", "zmm")
SDAR_REGISTER_LOOP(MultiplyFloat512, "vfmadd231ps", "zmm")
SDAR_REGISTER_LOOP(MultiplyFloat256, "vfmadd231ps", "ymm")
#undef SDAR_REGISTER_LOOP

// Four sums in turn, of tiles that hold ordinary numbers and stay in their registers.
struct TileOperands {
  alignas(64) uint8_t config[64] = {};
  alignas(64) uint8_t numbers[1024];

  TileOperands() {
    constexpr int kTiles = 8, kRowBytes = 64, kRows = 16;
    config[0] = 1;  // palette
    for (int t = 0; t < kTiles; ++t) {
      config[16 + 2 * t] = kRowBytes;
      config[48 + t] = kRows;
    }
    for (size_t i = 0; i < sizeof numbers; ++i)
      numbers[i] = i % 2 == 0 ? static_cast<uint8_t>(i) : 0x3F;
  }
};

#define SDAR_TILE_LOOP(name, instruction)                                                 \
  void name(int64_t rounds) {                                                             \
    const TileOperands operands;                                                          \
    asm volatile(                                                                         \
        "ldtilecfg (%1)\n"                                                                \
        ".irp t,0,1,2,3\n tilezero %%tmm\\t\n .endr\n"                                    \
        ".irp t,4,5,6,7\n tileloadd (%2,%3,1), %%tmm\\t\n .endr\n"                        \
        "1:\n"                                                                            \
        ".rept 3\n " instruction " %%tmm6, %%tmm4, %%tmm0\n " instruction                 \
        " %%tmm7, %%tmm4, %%tmm1\n " instruction " %%tmm6, %%tmm5, %%tmm2\n " instruction \
        " %%tmm7, %%tmm5, %%tmm3\n .endr\n"                                               \
        "dec %0\n jnz 1b\n"                                                               \
        "tilerelease\n"                                                                   \
        : "+r"(rounds)                                                                    \
        : "r"(operands.config), "r"(operands.numbers), "r"(int64_t{64})                   \
        : "cc", "memory");                                                                \
  }
SDAR_TILE_LOOP(MultiplyBFloat16Tiles, "tdpbf16ps")
SDAR_TILE_LOOP(MultiplyInt8Tiles, "tdpbusd")
#undef SDAR_TILE_LOOP

Loop LoopOf(InstructionSet set, PeakOf type) {
  constexpr double kTileProducts = 16 * 16 * 16;  // of words
  if (set == InstructionSet::kAmx && type == PeakOf::kBFloat16) {
    return {MultiplyBFloat16Tiles, 4 * kTileProducts, kTileRounds};
  }
  if (set == InstructionSet::kAmx && type == PeakOf::kInt8) {
    return {MultiplyInt8Tiles, 8 * kTileProducts, kTileRounds};
  }
  if (set == InstructionSet::kAvx512Bf16 && type == PeakOf::kBFloat16)
    return {MultiplyBFloat16, 64};
  if (set == InstructionSet::kAvx512Bf16 && type == PeakOf::kInt8) return {MultiplyInt8, 128};
  if (type == PeakOf::kInt8) return {};
  if (set >= InstructionSet::kAvx512) return {MultiplyFloat512, 32};
  if (set == InstructionSet::kAvx2) return {MultiplyFloat256, 16};
  return {};
}
#else
Loop LoopOf(InstructionSet, PeakOf) { return {}; }
#endif

}  // namespace

double MeasurePeak(InstructionSet set, PeakOf type, const CoreShare& cores) {
  const Loop loop = LoopOf(set, type);
  if (loop.run == nullptr) return 0;
  ThreadPool pool({cores.num_threads, cores.cpus, cores.spin});
  const auto seconds = [&](int64_t rounds) {
    const absl::Time start = absl::Now();
    pool.Run(pool.num_threads(), [&](int64_t, int64_t) { loop.run(rounds); });
    return absl::ToDoubleSeconds(absl::Now() - start);
  };
  seconds(1000);
  const double operations = static_cast<double>(loop.rounds * kInstructions * pool.num_threads());
  return operations * loop.operations / seconds(loop.rounds);
}

}  // namespace sdar
