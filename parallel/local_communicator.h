// SPDX-License-Identifier: Apache-2.0
// Ranks as threads of one process: a group of one for single-process runs, and several for tests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "parallel/communicator.h"

namespace sdar {

// What the ranks of one local group share.
class LocalGroup {
 public:
  explicit LocalGroup(int size) : size_(size), posted_(static_cast<size_t>(size)) {}
  int size() const { return size_; }

 private:
  friend class LocalCommunicator;
  // One rank's side of the collective in progress.
  struct Post {
    const void* send = nullptr;
    void* recv = nullptr;
    absl::Span<const int64_t> send_bytes;
  };

  absl::Status Arrive();
  void Abort(absl::string_view reason);

  const int size_;
  std::vector<Post> posted_;  // written by its rank before a meeting, read by all after it
  absl::Mutex mutex_;
  int arrived_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t meetings_ ABSL_GUARDED_BY(mutex_) = 0;
  bool aborted_ ABSL_GUARDED_BY(mutex_) = false;
  std::string reason_ ABSL_GUARDED_BY(mutex_);
};

// One rank of a LocalGroup.
class LocalCommunicator : public Communicator {
 public:
  LocalCommunicator(std::shared_ptr<LocalGroup> group, int rank)
      : group_(std::move(group)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return group_->size(); }
  absl::Status AllReduceSum(float* data, int64_t count) override;
  absl::Status AllGather(const void* send, absl::Span<const int64_t> bytes_per_rank,
                         void* recv) override;
  absl::Status AllToAll(const void* send, absl::Span<const int64_t> send_bytes, void* recv,
                        absl::Span<const int64_t> recv_bytes) override;
  absl::Status Broadcast(void* data, int64_t size_bytes, int root) override;
  absl::Status Barrier() override { return group_->Arrive(); }
  void Abort(absl::string_view reason) override { group_->Abort(reason); }

 private:
  LocalGroup::Post& mine() { return group_->posted_[static_cast<size_t>(rank_)]; }

  std::shared_ptr<LocalGroup> group_;
  int rank_;
};

// A group of one: every collective is a copy or nothing.
std::unique_ptr<Communicator> MakeSingleCommunicator();

}  // namespace sdar
