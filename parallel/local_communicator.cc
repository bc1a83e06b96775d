// SPDX-License-Identifier: Apache-2.0
#include "parallel/local_communicator.h"

#include <cstring>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

void Copy(const void* from, int64_t size_bytes, void* to) {
  if (size_bytes > 0 && from != to) std::memcpy(to, from, static_cast<size_t>(size_bytes));
}

}  // namespace

// Waits until every rank has arrived as often as this one.
absl::Status LocalGroup::Arrive() {
  absl::MutexLock lock(&mutex_);
  const uint64_t meeting = meetings_;
  if (++arrived_ == size_) {
    arrived_ = 0;
    ++meetings_;
  } else {
    const auto over = [this, meeting]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return meetings_ != meeting || aborted_;
    };
    mutex_.Await(absl::Condition(&over));
  }
  if (meetings_ == meeting || aborted_) {
    return absl::AbortedError(absl::StrCat("the local group was aborted: ", reason_));
  }
  return absl::OkStatus();
}

void LocalGroup::Abort(absl::string_view reason) {
  absl::MutexLock lock(&mutex_);
  aborted_ = true;
  reason_ = std::string(reason);
}

absl::Status LocalCommunicator::AllReduceSum(float* data, int64_t count) {
  if (size() == 1) return absl::OkStatus();
  const int64_t begin = SliceBegin(count, rank_, size());
  const int64_t end = SliceBegin(count, rank_ + 1, size());
  mine() = {data, data, {}};
  SDAR_RETURN_IF_ERROR(group_->Arrive());
  std::vector<float> sum(static_cast<size_t>(end - begin));
  for (int r = 0; r < size(); ++r) {
    const auto* theirs = static_cast<const float*>(group_->posted_[static_cast<size_t>(r)].send);
    for (int64_t i = begin; i < end; ++i) {
      float& s = sum[static_cast<size_t>(i - begin)];
      s = r == 0 ? theirs[i] : s + theirs[i];
    }
  }
  SDAR_RETURN_IF_ERROR(group_->Arrive());
  for (const LocalGroup::Post& post : group_->posted_) {
    Copy(sum.data(), (end - begin) * static_cast<int64_t>(sizeof(float)),
         static_cast<float*>(post.recv) + begin);
  }
  return group_->Arrive();
}

absl::Status LocalCommunicator::AllGather(const void* send,
                                          absl::Span<const int64_t> bytes_per_rank, void* recv) {
  mine() = {send, recv, {}};
  SDAR_RETURN_IF_ERROR(group_->Arrive());
  int64_t offset = 0;
  for (int r = 0; r < size(); ++r) {
    const auto index = static_cast<size_t>(r);
    Copy(group_->posted_[index].send, bytes_per_rank[index], static_cast<char*>(recv) + offset);
    offset += bytes_per_rank[index];
  }
  return group_->Arrive();
}

absl::Status LocalCommunicator::AllToAll(const void* send, absl::Span<const int64_t> send_bytes,
                                         void* recv, absl::Span<const int64_t> recv_bytes) {
  mine() = {send, recv, send_bytes};
  SDAR_RETURN_IF_ERROR(group_->Arrive());
  int64_t to = 0;
  for (int r = 0; r < size(); ++r) {
    const LocalGroup::Post& post = group_->posted_[static_cast<size_t>(r)];
    int64_t from = 0;
    for (int q = 0; q < rank_; ++q) from += post.send_bytes[static_cast<size_t>(q)];
    SDAR_CHECK(post.send_bytes[static_cast<size_t>(rank_)] == recv_bytes[static_cast<size_t>(r)]);
    Copy(static_cast<const char*>(post.send) + from, recv_bytes[static_cast<size_t>(r)],
         static_cast<char*>(recv) + to);
    to += recv_bytes[static_cast<size_t>(r)];
  }
  return group_->Arrive();
}

absl::Status LocalCommunicator::Broadcast(void* data, int64_t size_bytes, int root) {
  if (size() == 1) return absl::OkStatus();
  mine() = {data, data, {}};
  SDAR_RETURN_IF_ERROR(group_->Arrive());
  Copy(group_->posted_[static_cast<size_t>(root)].send, size_bytes, data);
  return group_->Arrive();
}

std::unique_ptr<Communicator> MakeSingleCommunicator() {
  return std::make_unique<LocalCommunicator>(std::make_shared<LocalGroup>(1), 0);
}

}  // namespace sdar
