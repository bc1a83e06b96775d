// SPDX-License-Identifier: Apache-2.0
// A device communicator over the stand-in for CUDA: what NCCL is to a device.
#pragma once

#include <vector>

#include "gtest/gtest.h"

#include "kernels/cuda/runtime.h"
#include "parallel/communicator.h"

namespace sdar {

// Enqueues another communicator's collectives, so that graphs hold them. Requires: it outlives
// this.
class StreamCommunicator : public Communicator {
 public:
  explicit StreamCommunicator(Communicator& inner) : inner_(inner) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }

  absl::Status AllReduceSum(float* data, int64_t count) override {
    return Enqueue([=, this] { return inner_.AllReduceSum(data, count); });
  }
  absl::Status AllGather(const void* send, absl::Span<const int64_t> bytes_per_rank,
                         void* recv) override {
    const std::vector<int64_t> bytes(bytes_per_rank.begin(), bytes_per_rank.end());
    return Enqueue([=, this] { return inner_.AllGather(send, bytes, recv); });
  }
  absl::Status AllToAll(const void* send, absl::Span<const int64_t> send_bytes, void* recv,
                        absl::Span<const int64_t> recv_bytes) override {
    const std::vector<int64_t> to(send_bytes.begin(), send_bytes.end());
    const std::vector<int64_t> from(recv_bytes.begin(), recv_bytes.end());
    return Enqueue([=, this] { return inner_.AllToAll(send, to, recv, from); });
  }
  absl::Status Broadcast(void* data, int64_t size_bytes, int root) override {
    return Enqueue([=, this] { return inner_.Broadcast(data, size_bytes, root); });
  }
  absl::Status Barrier() override { return inner_.Barrier(); }
  void Abort(absl::string_view reason) override { inner_.Abort(reason); }

 private:
  template <typename Collective>
  absl::Status Enqueue(Collective collective) {
    cuda_on_host::Enqueue([collective] {
      const absl::Status status = collective();
      EXPECT_TRUE(status.ok()) << status;
    });
    return absl::OkStatus();
  }

  Communicator& inner_;
};

}  // namespace sdar
