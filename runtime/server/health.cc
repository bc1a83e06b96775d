// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/health.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "common/steady_time.h"

namespace sdar {

std::string FindTrouble(const HealthView& view, const HealthLimits& limits, SteadyTime now) {
  if (!view.refusal.ok()) return std::string(view.refusal.message());
  if (view.step_age > limits.step_age) {
    return absl::StrCat("a step has been running for ", absl::FormatDuration(view.step_age));
  }
  for (size_t r = 1; r < view.ranks.size(); ++r) {
    const absl::Duration silence = now - view.ranks[r].last_heard;
    if (silence > limits.silence) {
      return absl::StrCat("rank ", r, " has been silent for ", absl::FormatDuration(silence));
    }
  }
  return "";
}

HealthWatch::HealthWatch(std::function<std::string()> find_trouble,
                         std::function<void(const std::string&)> on_change, absl::Duration interval)
    : find_trouble_(std::move(find_trouble)),
      on_change_(std::move(on_change)),
      interval_(interval),
      thread_([this] { Loop(); }) {}

HealthWatch::~HealthWatch() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    closes_.NotifyAll();
  }
  thread_.join();
}

void HealthWatch::Loop() {
  bool healthy = true;
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (closes_.AwaitUntil(mutex_, SteadyTime::Now() + interval_,
                             [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return closing_; })) {
        return;
      }
    }
    const std::string trouble = find_trouble_();
    if (trouble.empty() == healthy) continue;
    healthy = trouble.empty();
    on_change_(trouble);
  }
}

}  // namespace sdar
