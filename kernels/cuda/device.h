// SPDX-License-Identifier: Apache-2.0
// What the kernels are written on: launches, element types, reductions, asynchronous copies. For
// .cu files: under nvcc, and against the stand-in that runs kernels on the host.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/runtime.h"

namespace sdar::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xFFFFFFFFu;

// Enqueues a kernel. shared_bytes: of dynamic shared memory.
template <typename... Parameters, typename... Arguments>
void Launch(void (*kernel)(Parameters...), dim3 grid, unsigned threads, size_t shared_bytes,
            cudaStream_t stream, Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
#ifdef SDAR_CUDA_ON_HOST
  (void)stream;
  cuda_on_host::Enqueue(
      [=] { cuda_on_host::RunGrid(grid, threads, shared_bytes, [&] { kernel(arguments...); }); });
#else
  constexpr size_t kSharedWithoutAsking = size_t{48} << 10;
  if (shared_bytes > kSharedWithoutAsking) {
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         static_cast<int>(shared_bytes));
  }
  // clang-format off
  kernel<<<grid, threads, shared_bytes, stream>>>(arguments...);
  // clang-format on
#endif
}

__device__ inline char* SharedBytes() {
#ifdef SDAR_CUDA_ON_HOST
  return reinterpret_cast<char*>(cuda_on_host::DynamicShared());
#else
  extern __shared__ __align__(128) char bytes[];
  return bytes;
#endif
}

// A bfloat16 value: the upper half of a float32.
struct Bf16 {
  uint16_t bits;
};

__device__ inline float ToFloat(float value) { return value; }
__device__ inline float ToFloat(Bf16 value) {
  return __uint_as_float(static_cast<uint32_t>(value.bits) << 16);
}

// Rounds to nearest, ties to even; NaN stays NaN.
__device__ inline Bf16 ToBf16(float value) {
  const uint32_t bits = __float_as_uint(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16)};
}

template <typename T>
__device__ inline T FromFloat(float value);
template <>
__device__ inline float FromFloat<float>(float value) {
  return value;
}
template <>
__device__ inline Bf16 FromFloat<Bf16>(float value) {
  return ToBf16(value);
}

// Two values as one word of a fragment, the first in the lower half.
__device__ inline uint32_t PackBf16(float first, float second) {
  return static_cast<uint32_t>(ToBf16(first).bits) | static_cast<uint32_t>(ToBf16(second).bits)
                                                         << 16;
}

// What rounding to bfloat16 leaves of a value: the two halves together carry 16 bits of it.
__device__ inline float RestOf(float value) { return value - ToFloat(ToBf16(value)); }

__device__ inline float WarpSum(float value) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) value += __shfl_xor_sync(kAllLanes, value, mask);
  return value;
}
__device__ inline double WarpSum(double value) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) value += __shfl_xor_sync(kAllLanes, value, mask);
  return value;
}
__device__ inline float WarpMax(float value) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, mask));
  }
  return value;
}

// Sums over a block of kThreads threads, the same in each; warps are added in order.
template <int kThreads, typename T>
__device__ inline T BlockSum(T value) {
  __shared__ T of_warps[kThreads / kWarp];
  value = WarpSum(value);
  __syncthreads();
  if (threadIdx.x % kWarp == 0) of_warps[threadIdx.x / kWarp] = value;
  __syncthreads();
  T sum = 0;
  for (int i = 0; i < kThreads / kWarp; ++i) sum += of_warps[i];
  return sum;
}
template <int kThreads>
__device__ inline float BlockMax(float value) {
  __shared__ float of_warps[kThreads / kWarp];
  value = WarpMax(value);
  __syncthreads();
  if (threadIdx.x % kWarp == 0) of_warps[threadIdx.x / kWarp] = value;
  __syncthreads();
  float max = of_warps[0];
  for (int i = 1; i < kThreads / kWarp; ++i) max = fmaxf(max, of_warps[i]);
  return max;
}

// Copies 16 bytes from global to shared memory without waiting; zeros where `there` is false. Both
// addresses are multiples of 16.
__device__ inline void CopyAsync16(void* shared, const void* global, bool there) {
#ifdef SDAR_CUDA_ON_HOST
  if (there) {
    std::memcpy(shared, global, 16);
  } else {
    std::memset(shared, 0, 16);
  }
#else
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(global),
               "r"(there ? 16 : 0)
               : "memory");
#endif
}
__device__ inline void CommitCopies() {
#ifndef SDAR_CUDA_ON_HOST
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}
// Waits until at most kLeft committed groups of this thread's copies are open.
template <int kLeft>
__device__ inline void WaitCopies() {
#ifndef SDAR_CUDA_ON_HOST
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kLeft) : "memory");
#endif
}

}  // namespace sdar::cuda
