// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/on_host/cuda_on_host.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <vector>

#include "boost/context/fiber.hpp"
#include "boost/context/pooled_fixedsize_stack.hpp"

thread_local uint3 threadIdx;
thread_local uint3 blockIdx;
thread_local dim3 blockDim;
thread_local dim3 gridDim;

struct CudaGraphOnHost {
  std::vector<std::function<void()>> work;
};

namespace sdar::cuda_on_host {
namespace {

namespace context = boost::context;

constexpr size_t kStackBytes = size_t{64} << 10;
constexpr size_t kLargestAllocation = size_t{1} << 36;
constexpr unsigned kWarp = 32;

// What the calling thread captures into; null: it does not.
thread_local std::unique_ptr<CudaGraphOnHost> capture;

enum class Waiting { kNo, kForWarp, kForBlock, kDone };

struct Thread {
  context::fiber fiber;
  context::fiber scheduler;  // to go back to while the thread runs
  Waiting waiting = Waiting::kNo;
};

// One block while its threads run.
class Block {
 public:
  Block(unsigned threads, const std::function<void()>& body, std::mt19937& random)
      : threads_(threads), slots_((threads + kWarp - 1) / kWarp), order_(threads) {
    std::iota(order_.begin(), order_.end(), 0u);
    std::shuffle(order_.begin(), order_.end(), random);
    for (Thread& thread : threads_) {
      thread.fiber = context::fiber(std::allocator_arg, Stacks(), [&](context::fiber&& from) {
        thread.scheduler = std::move(from);
        body();
        thread.waiting = Waiting::kDone;
        return std::move(thread.scheduler);
      });
    }
  }

  void Run();
  void Wait(Waiting waiting) {
    Thread& thread = threads_[threadIdx.x];
    thread.waiting = waiting;
    thread.scheduler = std::move(thread.scheduler).resume();
  }
  LaneSlots& slots() { return slots_[threadIdx.x / kWarp]; }

 private:
  static context::pooled_fixedsize_stack& Stacks() {
    static context::pooled_fixedsize_stack stacks(kStackBytes);
    return stacks;
  }
  bool RunReady();
  bool Release(unsigned begin, unsigned end, Waiting waiting);

  std::vector<Thread> threads_;
  std::vector<LaneSlots> slots_;
  std::vector<unsigned> order_;
};

thread_local Block* block = nullptr;
thread_local std::byte* dynamic_shared = nullptr;

// Runs each thread that waits for nothing up to its next barrier. False when all are done.
bool Block::RunReady() {
  bool left = false;
  for (unsigned i : order_) {
    Thread& thread = threads_[i];
    if (thread.waiting == Waiting::kNo) {
      threadIdx = {i, 0, 0};
      thread.fiber = std::move(thread.fiber).resume();
    }
    left = left || thread.waiting != Waiting::kDone;
  }
  return left;
}

// Lets the threads [begin, end) go on if all that are not done wait so, and some do.
bool Block::Release(unsigned begin, unsigned end, Waiting waiting) {
  bool some = false;
  for (unsigned i = begin; i < end; ++i) {
    if (threads_[i].waiting == waiting) {
      some = true;
    } else if (threads_[i].waiting != Waiting::kDone) {
      return false;
    }
  }
  for (unsigned i = begin; i < end; ++i) {
    if (threads_[i].waiting == waiting) threads_[i].waiting = Waiting::kNo;
  }
  return some;
}

void Block::Run() {
  const auto count = static_cast<unsigned>(threads_.size());
  while (RunReady()) {
    bool released = false;
    for (unsigned begin = 0; begin < count; begin += kWarp) {
      released |= Release(begin, std::min(begin + kWarp, count), Waiting::kForWarp);
    }
    if (!released && !Release(0, count, Waiting::kForBlock)) {
      std::fputs("cuda_on_host: a barrier is not met by all threads\n", stderr);
      std::abort();
    }
  }
}

}  // namespace

void RunGrid(dim3 grid, unsigned threads, size_t shared_bytes, const std::function<void()>& body) {
  // Shared memory is static: one kernel at a time, whatever thread of the host asks.
  static std::mutex one_at_a_time;
  const std::lock_guard<std::mutex> lock(one_at_a_time);
  std::mt19937 random(grid.x * 31 + threads);
  gridDim = grid;
  blockDim = dim3(threads);
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = {x, y, z};
        // Exactly as large as asked for, and never zero: what a kernel does not write is not 0.
        void* shared = std::aligned_alloc(128, (shared_bytes + 127) / 128 * 128);
        std::memset(shared, 0xA5, (shared_bytes + 127) / 128 * 128);
        dynamic_shared = static_cast<std::byte*>(shared);
        Block now(threads, body, random);
        block = &now;
        now.Run();
        block = nullptr;
        std::free(shared);
      }
    }
  }
}

void Enqueue(std::function<void()> work) {
  if (capture == nullptr) return work();
  capture->work.push_back(std::move(work));
}

std::byte* DynamicShared() { return dynamic_shared; }
void SyncThreads() { block->Wait(Waiting::kForBlock); }
void SyncWarp() { block->Wait(Waiting::kForWarp); }
LaneSlots& WarpSlots() { return block->slots(); }

}  // namespace sdar::cuda_on_host

using sdar::cuda_on_host::capture;

cudaError_t cudaMalloc(void** data, size_t size_bytes) {
  if (capture != nullptr) return cudaErrorStreamCaptureUnsupported;
  if (size_bytes > sdar::cuda_on_host::kLargestAllocation) return cudaErrorMemoryAllocation;
  *data = std::aligned_alloc(256, (size_bytes + 255) / 256 * 256);
  return *data == nullptr && size_bytes > 0 ? cudaErrorMemoryAllocation : cudaSuccess;
}

cudaError_t cudaFree(void* data) {
  std::free(data);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return capture == nullptr ? cudaSuccess : cudaErrorStreamCaptureUnsupported;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size_bytes, cudaMemcpyKind,
                            cudaStream_t) {
  if (capture != nullptr) return cudaErrorStreamCaptureUnsupported;
  if (size_bytes > 0) std::memcpy(to, from, size_bytes);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* data, int value, size_t size_bytes, cudaStream_t stream) {
  return cudaMemset2DAsync(data, size_bytes, value, size_bytes, size_bytes > 0 ? 1 : 0, stream);
}

cudaError_t cudaMemset2DAsync(void* data, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t) {
  sdar::cuda_on_host::Enqueue([=] {
    for (size_t row = 0; row < height; ++row) {
      std::memset(static_cast<char*>(data) + row * pitch, value, width);
    }
  });
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) {
  capture = std::make_unique<CudaGraphOnHost>();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  *graph = capture.release();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned) {
  *exec = new CudaGraphOnHost(*graph);
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t) {
  for (const auto& work : exec->work) work();
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}
