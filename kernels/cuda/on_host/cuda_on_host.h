// SPDX-License-Identifier: Apache-2.0
// A stand-in for the CUDA runtime and its device language that runs kernels on the host: every
// thread of a block is a fiber, blocks come one after the other. It finds what a device would make
// of wrong indices, missing barriers and misread fragments, not how fast it is. For tests; the
// names are CUDA's own, as the kernels are compiled unchanged.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>

// NOLINTBEGIN(readability-identifier-naming, bugprone-sizeof-expression)
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
// Blocks run one at a time, so one copy serves all of them.
#define __shared__ static

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3(unsigned x_in = 1, unsigned y_in = 1, unsigned z_in = 1) : x(x_in), y(y_in), z(z_in) {}
};

// Of the fiber that runs.
extern thread_local uint3 threadIdx;
extern thread_local uint3 blockIdx;
extern thread_local dim3 blockDim;
extern thread_local dim3 gridDim;

namespace sdar::cuda_on_host {

// Runs `body` as every thread of every block, in an order that is shuffled anew for each block.
// Aborts where barriers are not met by all.
void RunGrid(dim3 grid, unsigned threads, size_t shared_bytes, const std::function<void()>& body);

// Does `work` at once, or, while the calling thread captures, as often as the graph is launched.
void Enqueue(std::function<void()> work);

std::byte* DynamicShared();
void SyncThreads();
void SyncWarp();
// What the lanes of the calling thread's warp hand each other: 64 bytes of each.
struct LaneSlots {
  alignas(64) std::byte bytes[32][64];
};
LaneSlots& WarpSlots();

// Every lane's value, by lane.
template <typename T>
struct OfWarp {
  T lanes[32];
};
template <typename T>
OfWarp<T> Exchange(const T& mine) {
  static_assert(sizeof(T) <= 64);
  LaneSlots& slots = WarpSlots();
  std::memcpy(slots.bytes[threadIdx.x % 32], &mine, sizeof(T));
  SyncWarp();
  OfWarp<T> all;
  for (int lane = 0; lane < 32; ++lane) {
    std::memcpy(&all.lanes[lane], slots.bytes[lane], sizeof(T));
  }
  SyncWarp();
  return all;
}

}  // namespace sdar::cuda_on_host

inline void __syncthreads() { sdar::cuda_on_host::SyncThreads(); }
inline void __syncwarp() { sdar::cuda_on_host::SyncWarp(); }

template <typename T>
T __shfl_sync(unsigned, T value, int lane) {
  return sdar::cuda_on_host::Exchange(value).lanes[lane & 31];
}
template <typename T>
T __shfl_xor_sync(unsigned, T value, int lane_mask) {
  const auto lane = static_cast<int>(threadIdx.x % 32);
  return sdar::cuda_on_host::Exchange(value).lanes[lane ^ lane_mask];
}
template <typename T>
T __shfl_up_sync(unsigned, T value, unsigned delta) {
  const unsigned lane = threadIdx.x % 32;
  return sdar::cuda_on_host::Exchange(value).lanes[lane >= delta ? lane - delta : lane];
}

inline int atomicAdd(int* address, int value) { return std::exchange(*address, *address + value); }
inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
inline float __uint_as_float(unsigned value) { return std::bit_cast<float>(value); }
inline int __popc(unsigned value) { return std::popcount(value); }

// The runtime: one device whose memory is the host's, streams that do at once what they are told.
enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorStreamCaptureUnsupported = 900
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
using cudaStream_t = struct CudaStreamOnHost*;
constexpr unsigned cudaStreamNonBlocking = 1;
struct cudaDeviceProp {
  char name[256] = "stand-in on the host";
  int multiProcessorCount = 4;
  int major = 9, minor = 0;
};

inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaMalloc(void** data, size_t size_bytes);
cudaError_t cudaFree(void* data);
inline cudaError_t cudaMallocHost(void** data, size_t size_bytes) {
  return cudaMalloc(data, size_bytes);
}
inline cudaError_t cudaFreeHost(void* data) { return cudaFree(data); }
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = nullptr;
  return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
// Refused while capturing, as the host's memory may be another's when a graph is launched.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size_bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* data, int value, size_t size_bytes, cudaStream_t stream);
cudaError_t cudaMemset2DAsync(void* data, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream);

// Graphs: what a thread enqueued while it captured, in order.
using cudaGraph_t = struct CudaGraphOnHost*;
using cudaGraphExec_t = struct CudaGraphOnHost*;
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
using cudaEvent_t = struct CudaEventOnHost*;
constexpr unsigned cudaEventDisableTiming = 2;
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = nullptr;
  return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaSuccess ? "cudaSuccess" : "cudaError";
}
inline const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory" : "no error of the stand-in";
}
// NOLINTEND(readability-identifier-naming, bugprone-sizeof-expression)
