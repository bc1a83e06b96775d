// SPDX-License-Identifier: Apache-2.0
// The experts' products by wgmma.m64n128k16: both operands from shared memory, sums in registers.
#include "kernels/cuda/expert_product.h"

// Only code for sm_90a may hold the instructions.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define SDAR_CUDA_WGMMA
#endif

namespace sdar::cuda {
namespace {

constexpr int kBlocksPerMultiprocessor = 3;

// A matrix of rows of k, in shared memory, as wgmma reads it without swizzling: 8 rows of 8
// elements lie together (128 bytes); element (r, k) lies r / 8 times `stride` and k / 8 times
// `leading` bytes on from the first (PTX ISA, "Asynchronous Warpgroup Level Matrix Shared Memory
// Layout").
struct Operand {
  const Bf16* first;
  uint32_t leading;
  uint32_t stride;

#ifdef SDAR_CUDA_ON_HOST
  __device__ float At(int r, int k) const {
    const auto* bytes = reinterpret_cast<const char*>(first);
    bytes += static_cast<uint32_t>(r / 8) * stride + static_cast<uint32_t>(k / 8) * leading;
    return ToFloat(reinterpret_cast<const Bf16*>(bytes)[r % 8 * 8 + k % 8]);
  }
#elif defined(SDAR_CUDA_WGMMA)
  __device__ uint64_t Descriptor() const {
    const auto field = [](uint32_t bytes) {
      return static_cast<uint64_t>((bytes & 0x3FFFFu) >> 4);
    };
    const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(first));
    return field(address) | field(leading) << 16 | field(stride) << 32;
  }
#endif
};

// d += a * b^T, a: [64, 16] and b: [128, 16]; all threads of four warps. A warp's 16 rows of d lie
// as those of 16 mma.m16n8k16 side by side do.
__device__ inline void MultiplyAddGroup(const Operand& a, const Operand& b, FragmentD (&d)[16]) {
#ifdef SDAR_CUDA_ON_HOST
  const int lane = static_cast<int>(threadIdx.x) % kWarp, g = lane / 4, t = lane % 4;
  for (int n = 0; n < 16; ++n) {
    for (int i = 0; i < 4; ++i) {
      const int row = static_cast<int>(threadIdx.x) / kWarp * 16 + g + 8 * (i / 2);
      for (int k = 0; k < 16; ++k) d[n].values[i] += a.At(row, k) * b.At(n * 8 + 2 * t + i % 2, k);
    }
  }
#elif defined(SDAR_CUDA_WGMMA)
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, "
      "%8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, "
      "%24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, "
      "%40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, "
      "%56, %57, %58, %59, %60, %61, %62, %63}, "
      "%64, %65, 1, 1, 1, 0, 0;\n"
      : "+f"(d[0].values[0]), "+f"(d[0].values[1]), "+f"(d[0].values[2]), "+f"(d[0].values[3]),
        "+f"(d[1].values[0]), "+f"(d[1].values[1]), "+f"(d[1].values[2]), "+f"(d[1].values[3]),
        "+f"(d[2].values[0]), "+f"(d[2].values[1]), "+f"(d[2].values[2]), "+f"(d[2].values[3]),
        "+f"(d[3].values[0]), "+f"(d[3].values[1]), "+f"(d[3].values[2]), "+f"(d[3].values[3]),
        "+f"(d[4].values[0]), "+f"(d[4].values[1]), "+f"(d[4].values[2]), "+f"(d[4].values[3]),
        "+f"(d[5].values[0]), "+f"(d[5].values[1]), "+f"(d[5].values[2]), "+f"(d[5].values[3]),
        "+f"(d[6].values[0]), "+f"(d[6].values[1]), "+f"(d[6].values[2]), "+f"(d[6].values[3]),
        "+f"(d[7].values[0]), "+f"(d[7].values[1]), "+f"(d[7].values[2]), "+f"(d[7].values[3]),
        "+f"(d[8].values[0]), "+f"(d[8].values[1]), "+f"(d[8].values[2]), "+f"(d[8].values[3]),
        "+f"(d[9].values[0]), "+f"(d[9].values[1]), "+f"(d[9].values[2]), "+f"(d[9].values[3]),
        "+f"(d[10].values[0]), "+f"(d[10].values[1]), "+f"(d[10].values[2]), "+f"(d[10].values[3]),
        "+f"(d[11].values[0]), "+f"(d[11].values[1]), "+f"(d[11].values[2]), "+f"(d[11].values[3]),
        "+f"(d[12].values[0]), "+f"(d[12].values[1]), "+f"(d[12].values[2]), "+f"(d[12].values[3]),
        "+f"(d[13].values[0]), "+f"(d[13].values[1]), "+f"(d[13].values[2]), "+f"(d[13].values[3]),
        "+f"(d[14].values[0]), "+f"(d[14].values[1]), "+f"(d[14].values[2]), "+f"(d[14].values[3]),
        "+f"(d[15].values[0]), "+f"(d[15].values[1]), "+f"(d[15].values[2]), "+f"(d[15].values[3])
      : "l"(a.Descriptor()), "l"(b.Descriptor()));
#else
  __trap();  // never launched: RunWgmmaProduct's caller asks for it on sm_90 only
#endif
}

// Orders registers and shared memory before a group of products.
__device__ inline void BeginProducts() {
#ifdef SDAR_CUDA_WGMMA
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
#endif
}
__device__ inline void EndProducts() {
#ifdef SDAR_CUDA_WGMMA
  asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
  asm volatile("wgmma.wait_group.sync.aligned 0;\n" ::: "memory");
#endif
}

struct WgmmaTiles {
  static constexpr int kTokens = kWgmmaTokens;
  static constexpr int kRows = kWeightRows + kTokens;
  static constexpr size_t kSharedBytes = sizeof(Bf16) * kProductStages * kRows * kProductDepth;
  Bf16* base;

  // A stage holds the weight's rows, then the slots'; of each, chunk after chunk, the rows' 8
  // elements.
  __device__ Bf16* Stage(int stage) const { return base + stage * kRows * kProductDepth; }
  __device__ Bf16* Chunk(int stage, int row, int chunk) const {
    if (row < kWeightRows) return Stage(stage) + (chunk * kWeightRows + row) * 8;
    return Stage(stage) + kWeightRows * kProductDepth + (chunk * kTokens + row - kWeightRows) * 8;
  }
  // What was copied is to be read by the tensor cores themselves.
  __device__ static void ShowCopies() {
#ifdef SDAR_CUDA_WGMMA
    asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
#endif
  }

  __device__ void Multiply(const ProductTile&, int stage, FragmentD (&sums)[kTokens / 8]) const {
    constexpr uint32_t kRowBytes = 8 * sizeof(Bf16);
    BeginProducts();
#pragma unroll
    for (int k = 0; k < kProductDepth; k += 16) {
      const Operand a = {Chunk(stage, 0, k / 8), kWeightRows * kRowBytes, 8 * kRowBytes};
      const Operand b = {Chunk(stage, kWeightRows, k / 8), kTokens * kRowBytes, 8 * kRowBytes};
      MultiplyAddGroup(a, b, sums);
    }
    EndProducts();
  }
};

}  // namespace

void RunWgmmaProduct(const ExpertProduct& p, bool gated, int64_t slots, int num_multiprocessors,
                     cudaStream_t stream) {
  RunProduct<WgmmaTiles>(p, gated, slots, num_multiprocessors, kBlocksPerMultiprocessor, stream);
}

}  // namespace sdar::cuda
