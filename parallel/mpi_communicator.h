// SPDX-License-Identifier: Apache-2.0
// Ranks as processes of an mpirun job.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <mpi.h>

#include "parallel/communicator.h"

namespace sdar {

// True when this process was started by mpirun or srun as one of several ranks.
bool StartedByMpi();

// The MPI library for the life of this object: at most one per process.
class MpiSession {
 public:
  // Initialises MPI with MPI_THREAD_SERIALIZED and MPI_ERRORS_RETURN. Internal names the call that
  // failed.
  static absl::StatusOr<std::unique_ptr<MpiSession>> Start();
  // Finalizes, which waits for the other ranks; a rank that gives up leaves by _Exit instead.
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

 private:
  MpiSession() = default;
};

// A group of ranks of MPI_COMM_WORLD. Waits poll with back-off, so that a rank whose peers are busy
// gives its core away.
class MpiCommunicator : public Communicator {
 public:
  // All ranks of the job. Requires: an MpiSession that outlives it.
  static absl::StatusOr<std::unique_ptr<MpiCommunicator>> World();
  // The ranks of the job that pass the same `group`, in the order of their ranks. Collective over
  // all ranks of the job.
  static absl::StatusOr<std::unique_ptr<MpiCommunicator>> OfWorld(int group);
  ~MpiCommunicator() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  absl::Status AllReduceSum(float* data, int64_t count) override;
  absl::Status AllGather(const void* send, absl::Span<const int64_t> bytes_per_rank,
                         void* recv) override;
  absl::Status AllToAll(const void* send, absl::Span<const int64_t> send_bytes, void* recv,
                        absl::Span<const int64_t> recv_bytes) override;
  absl::Status Broadcast(void* data, int64_t size_bytes, int root) override;
  absl::Status Barrier() override;
  void Abort(absl::string_view reason) override;

  // With `eager` false, waits yield the core at once: set where ranks exceed cores.
  void set_eager(bool eager) { eager_ = eager; }

 private:
  // Takes the communicator over.
  static absl::StatusOr<std::unique_ptr<MpiCommunicator>> Wrap(MPI_Comm comm);
  MpiCommunicator(MPI_Comm comm, int rank, int size) : comm_(comm), rank_(rank), size_(size) {}

  // Waits for a request that `call` started.
  absl::Status Wait(int started, MPI_Request* request, const char* call) const;

  MPI_Comm comm_;
  int rank_;
  int size_;
  bool eager_ = true;
  std::vector<float> slices_;  // what an all-reduce receives: one slice of each rank
};

}  // namespace sdar
