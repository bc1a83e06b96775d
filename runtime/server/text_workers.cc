// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/text_workers.h"

#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "common/log.h"
#include "runtime/cluster/retry_delay.h"

namespace sdar {
namespace {

constexpr absl::Duration kRetryDelay = absl::Seconds(1);

// Bad allocations are what is left to be thrown; whose they are has to be told all the same.
void RunOne(const TextWorkers::Work& work) {
  try {
    try {
      work(absl::OkStatus());
    } catch (const std::exception& thrown) {
      spdlog::error("a request's text: {}", thrown.what());
      work(absl::InternalError(absl::StrCat("the text cannot be worked on: ", thrown.what())));
    }
  } catch (const std::exception& thrown) {
    spdlog::error("a request's text cannot be refused: {}", thrown.what());
  }
}

}  // namespace

TextWorkers::TextWorkers(const TextWorkersOptions& options) : options_(options) {
  for (int i = 0; i < options.threads; ++i) {
    const bool takes_large = i > 0 || options.threads == 1;
    threads_.emplace_back([this, takes_large] { Loop(takes_large); });
  }
}

TextWorkers::~TextWorkers() { Stop(); }

absl::Status TextWorkers::Run(size_t bytes, Work work) {
  absl::MutexLock lock(&mutex_);
  if (closing_) return absl::UnavailableError("the server is stopping");
  if (small_.size() + large_.size() >= options_.max_waiting) {
    return WithRetryDelay(absl::ResourceExhaustedError(absl::StrCat(
                              "the queue of texts is full: ", options_.max_waiting, " wait")),
                          kRetryDelay);
  }
  (bytes > options_.large_bytes ? large_ : small_).push_back(std::move(work));
  return absl::OkStatus();
}

void TextWorkers::Stop() {
  std::deque<Work> left;
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    left.swap(small_);
    for (Work& work : large_) left.push_back(std::move(work));
    large_.clear();
  }
  for (const Work& work : left) work(absl::UnavailableError("the server is stopping"));
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

bool TextWorkers::HasWork(bool takes_large) const {
  return !small_.empty() || (takes_large && !large_.empty());
}

// Large texts first where they are taken: the others have a thread for themselves.
void TextWorkers::Loop(bool takes_large) {
  while (true) {
    Work work;
    {
      absl::MutexLock lock(&mutex_);
      const auto woken = [this, takes_large]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return closing_ || HasWork(takes_large);
      };
      mutex_.Await(absl::Condition(&woken));
      if (!HasWork(takes_large)) return;
      std::deque<Work>& queue = takes_large && !large_.empty() ? large_ : small_;
      work = std::move(queue.front());
      queue.pop_front();
    }
    RunOne(work);
  }
}

}  // namespace sdar
