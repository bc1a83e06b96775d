// SPDX-License-Identifier: Apache-2.0
// Ranks that hold a GPU each, over NCCL.
#pragma once

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include <cuda_runtime.h>
#include <nccl.h>

#include "parallel/communicator.h"

namespace sdar {

// Collectives over device memory, enqueued on one stream: their data is there for what is enqueued
// later. Sums are added in NCCL's order, which is the same on every rank and may change with
// `count`. Collectives may be captured into a graph; NCCL then registers their buffers itself.
// Health asks NCCL for errors, and every call does so first. That finds a lost connection. NCCL
// says nothing of a peer on the same host that died: the job's watchdog finds that.
class NcclCommunicator : public Communicator {
 public:
  // Joins the ranks of `control`, which hands the group's id around and must have the same ranks.
  // The current device is this rank's. Waits for all of them. Unavailable names the call that
  // failed. Requires: the stream outlives it.
  static absl::StatusOr<std::unique_ptr<NcclCommunicator>> Create(Communicator& control,
                                                                  cudaStream_t stream);
  ~NcclCommunicator() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  absl::Status AllReduceSum(float* data, int64_t count) override;
  absl::Status AllGather(const void* send, absl::Span<const int64_t> bytes_per_rank,
                         void* recv) override;
  absl::Status AllToAll(const void* send, absl::Span<const int64_t> send_bytes, void* recv,
                        absl::Span<const int64_t> recv_bytes) override;
  absl::Status AllToAllEqual(const void* send, int64_t bytes_per_rank, void* recv) override;
  absl::Status Broadcast(void* data, int64_t size_bytes, int root) override;
  // Also waits for all that was enqueued here.
  absl::Status Barrier() override;
  absl::Status Health() const override;
  void Abort(absl::string_view reason) override;

 private:
  NcclCommunicator(int rank, int size, cudaStream_t stream)
      : rank_(rank), size_(size), stream_(stream) {}

  ncclComm_t comm() const {
    absl::MutexLock lock(&mutex_);
    return comm_;
  }
  template <typename Call>
  absl::Status Group(Call call);

  int rank_;
  int size_;
  cudaStream_t stream_;
  mutable absl::Mutex mutex_;
  ncclComm_t comm_ ABSL_GUARDED_BY(mutex_) = nullptr;  // null once aborted
  float* barrier_ = nullptr;                           // one float in device memory
};

}  // namespace sdar
