// SPDX-License-Identifier: Apache-2.0
#include "parallel/mpi_communicator.h"

#include <cstdlib>
#include <limits>

#include "absl/strings/str_cat.h"
#include <sched.h>
#include <time.h>

#include "common/log.h"
#include "common/status_macros.h"

namespace sdar {
namespace {

absl::Status FromMpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return absl::OkStatus();
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  return absl::UnavailableError(
      absl::StrCat(call, ": ", std::string(text, static_cast<size_t>(length))));
}

// Counts and offsets in elements of `element_bytes` as MPI wants them: int.
struct Layout {
  std::vector<int> counts;
  std::vector<int> offsets;
};

absl::StatusOr<Layout> MakeLayout(absl::Span<const int64_t> sizes, const char* call) {
  Layout layout;
  int64_t offset = 0;
  for (int64_t size : sizes) {
    layout.counts.push_back(static_cast<int>(size));
    layout.offsets.push_back(static_cast<int>(offset));
    offset += size;
  }
  if (offset > std::numeric_limits<int>::max()) {
    return absl::InternalError(absl::StrCat(call, ": at most 2^31 - 1 elements, got ", offset));
  }
  return layout;
}

// Ranks of one host exchange messages in shared memory. Open MPI would nevertheless listen for TCP,
// on all of the host's addresses. Who chose transports keeps them.
void KeepToOneHost() {
  const char* all = std::getenv("OMPI_COMM_WORLD_SIZE");
  const char* local = std::getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
  if (all == nullptr || local == nullptr || absl::string_view(all) != local) return;
  setenv("OMPI_MCA_btl", "self,vader", /*overwrite=*/0);
}

}  // namespace

bool StartedByMpi() {
  return std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr || std::getenv("PMIX_RANK") != nullptr ||
         std::getenv("PMI_RANK") != nullptr;
}

absl::StatusOr<std::unique_ptr<MpiSession>> MpiSession::Start() {
  KeepToOneHost();
  int provided = 0;
  SDAR_RETURN_IF_ERROR(FromMpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided),
                               "MPI_Init_thread"));
  if (provided < MPI_THREAD_SERIALIZED) {
    return absl::InternalError("MPI_Init_thread: this MPI has no MPI_THREAD_SERIALIZED");
  }
  SDAR_RETURN_IF_ERROR(FromMpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN),
                               "MPI_Comm_set_errhandler"));
  return std::unique_ptr<MpiSession>(new MpiSession());
}

MpiSession::~MpiSession() { MPI_Finalize(); }

absl::StatusOr<std::unique_ptr<MpiCommunicator>> MpiCommunicator::World() {
  MPI_Comm comm;
  SDAR_RETURN_IF_ERROR(FromMpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm), "MPI_Comm_dup"));
  return Wrap(comm);
}

absl::StatusOr<std::unique_ptr<MpiCommunicator>> MpiCommunicator::OfWorld(int group) {
  MPI_Comm comm;
  SDAR_RETURN_IF_ERROR(FromMpi(MPI_Comm_split(MPI_COMM_WORLD, group, 0, &comm), "MPI_Comm_split"));
  return Wrap(comm);
}

absl::StatusOr<std::unique_ptr<MpiCommunicator>> MpiCommunicator::Wrap(MPI_Comm comm) {
  int rank = 0;
  int size = 1;
  SDAR_RETURN_IF_ERROR(FromMpi(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank"));
  SDAR_RETURN_IF_ERROR(FromMpi(MPI_Comm_size(comm, &size), "MPI_Comm_size"));
  return std::unique_ptr<MpiCommunicator>(new MpiCommunicator(comm, rank, size));
}

MpiCommunicator::~MpiCommunicator() { MPI_Comm_free(&comm_); }

absl::Status MpiCommunicator::Wait(int started, MPI_Request* request, const char* call) const {
  SDAR_RETURN_IF_ERROR(FromMpi(started, call));
  constexpr int kEagerPolls = 20000;  // some milliseconds: longer than a step's ranks drift apart
  constexpr int kYields = 2000;
  for (int64_t poll = 0;; ++poll) {
    int done = 0;
    SDAR_RETURN_IF_ERROR(FromMpi(MPI_Test(request, &done, MPI_STATUS_IGNORE), call));
    if (done != 0) return absl::OkStatus();
    if (eager_ && poll < kEagerPolls) continue;
    if (poll < kEagerPolls + kYields) {
      sched_yield();
    } else {
      const timespec pause = {0, 50'000};
      nanosleep(&pause, nullptr);
    }
  }
}

// Every rank adds one slice, over all ranks in rank order, and the slices are gathered.
absl::Status MpiCommunicator::AllReduceSum(float* data, int64_t count) {
  if (size_ == 1) return absl::OkStatus();
  std::vector<int64_t> slice_sizes;
  for (int r = 0; r < size_; ++r) {
    slice_sizes.push_back(SliceBegin(count, r + 1, size_) - SliceBegin(count, r, size_));
  }
  const int64_t mine = slice_sizes[static_cast<size_t>(rank_)];
  SDAR_ASSIGN_OR_RETURN(const Layout out, MakeLayout(slice_sizes, "MPI_Ialltoallv"));
  const std::vector<int64_t> equal(static_cast<size_t>(size_), mine);
  SDAR_ASSIGN_OR_RETURN(const Layout in, MakeLayout(equal, "MPI_Ialltoallv"));
  slices_.resize(static_cast<size_t>(mine * size_));
  MPI_Request request;
  SDAR_RETURN_IF_ERROR(
      Wait(MPI_Ialltoallv(data, out.counts.data(), out.offsets.data(), MPI_FLOAT, slices_.data(),
                          in.counts.data(), in.offsets.data(), MPI_FLOAT, comm_, &request),
           &request, "MPI_Ialltoallv"));
  float* sum = slices_.data();
  for (int r = 1; r < size_; ++r) {
    const float* theirs = slices_.data() + r * mine;
    for (int64_t i = 0; i < mine; ++i) sum[i] += theirs[i];
  }
  return Wait(MPI_Iallgatherv(sum, static_cast<int>(mine), MPI_FLOAT, data, out.counts.data(),
                              out.offsets.data(), MPI_FLOAT, comm_, &request),
              &request, "MPI_Iallgatherv");
}

absl::Status MpiCommunicator::AllGather(const void* send, absl::Span<const int64_t> bytes_per_rank,
                                        void* recv) {
  SDAR_ASSIGN_OR_RETURN(const Layout in, MakeLayout(bytes_per_rank, "MPI_Iallgatherv"));
  MPI_Request request;
  return Wait(MPI_Iallgatherv(send, in.counts[static_cast<size_t>(rank_)], MPI_BYTE, recv,
                              in.counts.data(), in.offsets.data(), MPI_BYTE, comm_, &request),
              &request, "MPI_Iallgatherv");
}

absl::Status MpiCommunicator::AllToAll(const void* send, absl::Span<const int64_t> send_bytes,
                                       void* recv, absl::Span<const int64_t> recv_bytes) {
  SDAR_ASSIGN_OR_RETURN(const Layout out, MakeLayout(send_bytes, "MPI_Ialltoallv"));
  SDAR_ASSIGN_OR_RETURN(const Layout in, MakeLayout(recv_bytes, "MPI_Ialltoallv"));
  MPI_Request request;
  return Wait(MPI_Ialltoallv(send, out.counts.data(), out.offsets.data(), MPI_BYTE, recv,
                             in.counts.data(), in.offsets.data(), MPI_BYTE, comm_, &request),
              &request, "MPI_Ialltoallv");
}

absl::Status MpiCommunicator::Broadcast(void* data, int64_t size_bytes, int root) {
  if (size_bytes > std::numeric_limits<int>::max()) {
    return absl::InternalError(
        absl::StrCat("MPI_Ibcast: at most 2^31 - 1 bytes, got ", size_bytes));
  }
  MPI_Request request;
  return Wait(MPI_Ibcast(data, static_cast<int>(size_bytes), MPI_BYTE, root, comm_, &request),
              &request, "MPI_Ibcast");
}

absl::Status MpiCommunicator::Barrier() {
  MPI_Request request;
  return Wait(MPI_Ibarrier(comm_, &request), &request, "MPI_Ibarrier");
}

// Leaves without MPI_Abort, which may wait for peers and is not for other threads: a rank's death
// ends an mpirun job.
void MpiCommunicator::Abort(absl::string_view reason) {
  spdlog::error("leaving the job: {}", std::string(reason));
  spdlog::default_logger()->flush();
  std::_Exit(1);
}

}  // namespace sdar
