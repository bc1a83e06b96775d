// SPDX-License-Identifier: Apache-2.0
// The seam between ranks: collectives of one group of ranks, which need not be the whole world.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace sdar {

// Collectives over `size()` ranks. Every rank calls the same ones in the same order with sizes that
// agree. A device communicator enqueues on the stream it was created with; the others return when
// the data is there. Requires: one calling thread (Health and Abort: any). Errors: Unavailable or
// Aborted name the library call; after one the group is of no more use.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  // data[i] becomes the sum over the ranks, added in rank order whatever `count` is, in float32.
  virtual absl::Status AllReduceSum(float* data, int64_t count) = 0;

  // Rank r's bytes_per_rank[r] bytes at `send` land in rank order at `recv` of everybody.
  virtual absl::Status AllGather(const void* send, absl::Span<const int64_t> bytes_per_rank,
                                 void* recv) = 0;

  // send_bytes[r] bytes go to rank r and recv_bytes[r] come from it; both sides lie in rank order.
  virtual absl::Status AllToAll(const void* send, absl::Span<const int64_t> send_bytes, void* recv,
                                absl::Span<const int64_t> recv_bytes) = 0;

  // The same with as many bytes from every rank to every rank. `recv` is not `send`.
  virtual absl::Status AllToAllEqual(const void* send, int64_t bytes_per_rank, void* recv) {
    const std::vector<int64_t> bytes(static_cast<size_t>(size()), bytes_per_rank);
    return AllToAll(send, bytes, recv, bytes);
  }

  // Rank `root`'s bytes become everybody's.
  virtual absl::Status Broadcast(void* data, int64_t size_bytes, int root) = 0;

  virtual absl::Status Barrier() = 0;

  // An error of a collective that had returned before the error was known, as a device's do. Any
  // thread; never waits.
  virtual absl::Status Health() const { return absl::OkStatus(); }

  // Makes the others' collectives fail or end: the last act of a rank that cannot go on. Any
  // thread.
  virtual void Abort(absl::string_view reason) = 0;
};

// The two ways in which the ranks of one group meet: over the memory of their devices, and over the
// host's. The same communicator where that is the same memory.
struct GroupCommunicators {
  // NOLINTNEXTLINE(google-explicit-constructor): one communicator is the plain case
  GroupCommunicators(Communicator& both) : tensors(&both), control(&both) {}
  GroupCommunicators(Communicator& of_tensors, Communicator& of_control)
      : tensors(&of_tensors), control(&of_control) {}

  Communicator* tensors;
  Communicator* control;
};

// The part of `count` elements that rank `rank` of `size` adds up in an all-reduce:
// [SliceBegin(rank), SliceBegin(rank + 1)).
constexpr int64_t SliceBegin(int64_t count, int rank, int size) { return count * rank / size; }

}  // namespace sdar
