// SPDX-License-Identifier: Apache-2.0
// Ranks that hold a GPU each, over NCCL.
#pragma once

#include <atomic>
#include <memory>

#include "absl/status/statusor.h"
#include <cuda_runtime.h>
#include <nccl.h>

#include "parallel/communicator.h"

namespace sdar {

// Collectives over device memory, enqueued on one stream: data is there for what is enqueued
// behind. Sums are added in NCCL's order, which is the same on every rank and may change with
// `count`. Every call asks first whether NCCL has met an error since the last one: a lost
// connection is found so; of a peer on the same host that died NCCL says nothing, which is for the
// job's watchdog to find.
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
  absl::Status Broadcast(void* data, int64_t size_bytes, int root) override;
  // Also waits for all that was enqueued here.
  absl::Status Barrier() override;
  void Abort(absl::string_view reason) override;

 private:
  NcclCommunicator(int rank, int size, cudaStream_t stream)
      : rank_(rank), size_(size), stream_(stream) {}

  // What NCCL has found since the last call.
  absl::Status AsyncError() const;

  int rank_;
  int size_;
  cudaStream_t stream_;
  std::atomic<ncclComm_t> comm_{nullptr};  // null once aborted
  float* barrier_ = nullptr;               // one float in device memory
};

}  // namespace sdar
