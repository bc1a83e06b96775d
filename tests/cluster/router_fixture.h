// SPDX-License-Identifier: Apache-2.0
// A router before replicas that do what the test says, and a record of how its requests end.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"

#include "runtime/cluster/router.h"
#include "tests/fakes/fake_replica.h"
#include "tests/status_matchers.h"

namespace sdar {

inline constexpr int64_t kPage = 8;

inline RouterConfig SmallConfig() {
  RouterConfig config;
  config.limits = {1000, 4096, kPage, 1000, 512};
  config.slots = 2;
  config.max_waiting = 6;
  config.max_waiting_tokens = 1000;
  return config;
}

// How sequences ended, by the first token of their prompts.
class Ends {
 public:
  UpdateCallback For(TokenId name) {
    return [this, name](SequenceUpdate update) {
      if (!update.end) return;
      absl::MutexLock lock(&mutex_);
      ends_.emplace(name, update.end->status);
    };
  }
  size_t CountOf(TokenId name) const {
    absl::MutexLock lock(&mutex_);
    return ends_.count(name);
  }
  size_t size() const {
    absl::MutexLock lock(&mutex_);
    return ends_.size();
  }
  void Await(size_t count) const {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]()
                            ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ends_.size() >= count; };
    mutex_.Await(absl::Condition(&enough));
  }
  absl::Status Of(TokenId name) const {
    absl::MutexLock lock(&mutex_);
    const auto found = ends_.find(name);
    return found == ends_.end() ? absl::NotFoundError("it has not ended") : found->second;
  }

 private:
  mutable absl::Mutex mutex_;
  std::multimap<TokenId, absl::Status> ends_ ABSL_GUARDED_BY(mutex_);
};

// A router before `num_replicas` fakes.
struct RouterFixture {
  explicit RouterFixture(int num_replicas, const RouterConfig& config = SmallConfig())
      : fakes(static_cast<size_t>(num_replicas)) {
    std::vector<Replica> replicas;
    for (FakeReplica& fake : fakes) replicas.push_back(fake.AsReplica());
    router = std::make_unique<Router>(config, std::move(replicas));
  }

  // A request of `n` samples that is called `name`.
  std::vector<Submission> Make(TokenId name, int n = 1, int priority = 0) {
    std::vector<Submission> samples(static_cast<size_t>(n));
    for (Submission& sample : samples) {
      sample.request.prompt = {name};
      sample.request.stopping.max_tokens = 10;
      sample.request.priority = priority;
      sample.callback = ends.For(name);
    }
    return samples;
  }
  std::vector<SequenceId> Submit(std::vector<Submission> samples) {
    auto ids = router->Submit(std::move(samples));
    EXPECT_THAT(ids, IsOk());
    return ids.ok() ? *ids : std::vector<SequenceId>();
  }
  std::vector<SequenceId> Submit(TokenId name, int n = 1, int priority = 0) {
    return Submit(Make(name, n, priority));
  }

  std::vector<FakeReplica> fakes;
  Ends ends;
  std::unique_ptr<Router> router;
};

}  // namespace sdar
