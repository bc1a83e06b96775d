// SPDX-License-Identifier: Apache-2.0
#include "parallel/nccl_communicator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "spdlog/spdlog.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

absl::Status ToStatus(ncclResult_t result, absl::string_view call) {
  if (result == ncclSuccess) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(call, ": ", ncclGetErrorString(result), ": ", ncclGetLastError(nullptr)));
}

absl::Status ToStatus(cudaError_t error, absl::string_view call) {
  if (error == cudaSuccess) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(call, ": ", cudaGetErrorString(error)));
}

const char* At(const void* data, int64_t offset) { return static_cast<const char*>(data) + offset; }
char* At(void* data, int64_t offset) { return static_cast<char*>(data) + offset; }

// Nothing for no bytes: then the peer does not wait for any either.
absl::Status Send(const void* data, int64_t size_bytes, int to, ncclComm_t comm,
                  cudaStream_t stream) {
  if (size_bytes == 0) return absl::OkStatus();
  return ToStatus(ncclSend(data, static_cast<size_t>(size_bytes), ncclInt8, to, comm, stream),
                  "ncclSend");
}
absl::Status Receive(void* data, int64_t size_bytes, int from, ncclComm_t comm,
                     cudaStream_t stream) {
  if (size_bytes == 0) return absl::OkStatus();
  return ToStatus(ncclRecv(data, static_cast<size_t>(size_bytes), ncclInt8, from, comm, stream),
                  "ncclRecv");
}

}  // namespace

absl::StatusOr<std::unique_ptr<NcclCommunicator>> NcclCommunicator::Create(Communicator& control,
                                                                           cudaStream_t stream) {
  auto out = std::unique_ptr<NcclCommunicator>(
      new NcclCommunicator(control.rank(), control.size(), stream));
  // The id travels with the outcome of making it, so that all ranks go on or none does.
  struct {
    ncclUniqueId id;
    ncclResult_t result;
  } made = {};
  if (control.rank() == 0) made.result = ncclGetUniqueId(&made.id);
  SDAR_RETURN_IF_ERROR(control.Broadcast(&made, sizeof made, 0));
  SDAR_RETURN_IF_ERROR(ToStatus(made.result, "ncclGetUniqueId"));
  ncclComm_t comm = nullptr;
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  SDAR_RETURN_IF_ERROR(
      ToStatus(ncclCommInitRankConfig(&comm, out->size_, made.id, out->rank_, &config),
               "ncclCommInitRankConfig"));
  {
    absl::MutexLock lock(&out->mutex_);
    out->comm_ = comm;
  }
  SDAR_RETURN_IF_ERROR(
      ToStatus(cudaMalloc(reinterpret_cast<void**>(&out->barrier_), sizeof(float)), "cudaMalloc"));
  SDAR_RETURN_IF_ERROR(
      ToStatus(cudaMemsetAsync(out->barrier_, 0, sizeof(float), stream), "cudaMemsetAsync"));
  return out;
}

NcclCommunicator::~NcclCommunicator() {
  if (barrier_ != nullptr) cudaFree(barrier_);
  if (comm_ != nullptr) ncclCommDestroy(comm_);
}

absl::Status NcclCommunicator::Health() const {
  absl::MutexLock lock(&mutex_);
  if (comm_ == nullptr) return absl::AbortedError("the NCCL communicator was aborted");
  ncclResult_t error = ncclSuccess;
  SDAR_RETURN_IF_ERROR(ToStatus(ncclCommGetAsyncError(comm_, &error), "ncclCommGetAsyncError"));
  return ToStatus(error, "NCCL, since the last collective");
}

// Makes the sends and receives that `call` makes for each rank one operation; it returns what they
// came to.
template <typename Call>
absl::Status NcclCommunicator::Group(Call call) {
  SDAR_RETURN_IF_ERROR(Health());
  SDAR_RETURN_IF_ERROR(ToStatus(ncclGroupStart(), "ncclGroupStart"));
  absl::Status status;
  for (int r = 0; r < size_; ++r) status.Update(call(r));
  status.Update(ToStatus(ncclGroupEnd(), "ncclGroupEnd"));
  return status;
}

absl::Status NcclCommunicator::AllReduceSum(float* data, int64_t count) {
  SDAR_RETURN_IF_ERROR(Health());
  if (count == 0) return absl::OkStatus();
  return ToStatus(
      ncclAllReduce(data, data, static_cast<size_t>(count), ncclFloat32, ncclSum, comm(), stream_),
      "ncclAllReduce");
}

absl::Status NcclCommunicator::AllGather(const void* send, absl::Span<const int64_t> bytes_per_rank,
                                         void* recv) {
  const int64_t mine = bytes_per_rank[static_cast<size_t>(rank_)];
  const bool equal = std::all_of(bytes_per_rank.begin(), bytes_per_rank.end(),
                                 [&](int64_t bytes) { return bytes == mine; });
  if (equal) {
    SDAR_RETURN_IF_ERROR(Health());
    if (mine == 0) return absl::OkStatus();
    return ToStatus(ncclAllGather(send, recv, static_cast<size_t>(mine), ncclInt8, comm(), stream_),
                    "ncclAllGather");
  }
  // Everybody sends the same to all. In a group of calls the sender's bytes may be read by all of
  // them at once.
  const ncclComm_t comm = this->comm();
  int64_t offset = 0;
  return Group([&](int r) {
    const int64_t bytes = bytes_per_rank[static_cast<size_t>(r)];
    absl::Status status = Send(send, mine, r, comm, stream_);
    status.Update(Receive(At(recv, offset), bytes, r, comm, stream_));
    offset += bytes;
    return status;
  });
}

absl::Status NcclCommunicator::AllToAll(const void* send, absl::Span<const int64_t> send_bytes,
                                        void* recv, absl::Span<const int64_t> recv_bytes) {
  const ncclComm_t comm = this->comm();
  int64_t sent = 0, received = 0;
  return Group([&](int r) {
    const int64_t to = send_bytes[static_cast<size_t>(r)];
    const int64_t from = recv_bytes[static_cast<size_t>(r)];
    absl::Status status = Send(At(send, sent), to, r, comm, stream_);
    status.Update(Receive(At(recv, received), from, r, comm, stream_));
    sent += to;
    received += from;
    return status;
  });
}

absl::Status NcclCommunicator::AllToAllEqual(const void* send, int64_t bytes_per_rank, void* recv) {
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 28, 0)
  SDAR_RETURN_IF_ERROR(Health());
  if (bytes_per_rank == 0) return absl::OkStatus();
  return ToStatus(
      ncclAlltoAll(send, recv, static_cast<size_t>(bytes_per_rank), ncclInt8, comm(), stream_),
      "ncclAlltoAll");
#else
  return Communicator::AllToAllEqual(send, bytes_per_rank, recv);
#endif
}

absl::Status NcclCommunicator::Broadcast(void* data, int64_t size_bytes, int root) {
  SDAR_RETURN_IF_ERROR(Health());
  if (size_bytes == 0) return absl::OkStatus();
  return ToStatus(
      ncclBroadcast(data, data, static_cast<size_t>(size_bytes), ncclInt8, root, comm(), stream_),
      "ncclBroadcast");
}

absl::Status NcclCommunicator::Barrier() {
  SDAR_RETURN_IF_ERROR(AllReduceSum(barrier_, 1));
  return ToStatus(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
}

void NcclCommunicator::Abort(absl::string_view reason) {
  absl::MutexLock lock(&mutex_);
  if (comm_ == nullptr) return;
  spdlog::error("NCCL is aborted: {}", std::string(reason));
  ncclCommAbort(std::exchange(comm_, nullptr));
}

}  // namespace sdar
