// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/delivery.h"

#include "absl/time/clock.h"

namespace sdar {
namespace {

// A step's updates come within this of the first. To be woken for each of them would cost the
// engine more than all else it does with them.
constexpr absl::Duration kGather = absl::Microseconds(50);

}  // namespace

Delivery::Delivery() : thread_([this] { Loop(); }) {}

Delivery::~Delivery() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
  }
  thread_.join();
}

UpdateCallback Delivery::Later(UpdateCallback callback) {
  return [this, shared = std::make_shared<const UpdateCallback>(std::move(callback))](
             SequenceUpdate update) {
    Post({shared, std::move(update)});
  };
}

void Delivery::Post(Item item) {
  absl::MutexLock lock(&mutex_);
  items_.push_back(std::move(item));
}

void Delivery::Loop() {
  std::vector<Item> batch;
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &Delivery::HasNews));
      if (items_.empty()) return;
    }
    absl::SleepFor(kGather);
    {
      absl::MutexLock lock(&mutex_);
      batch.swap(items_);
    }
    for (auto& [callback, update] : batch) (*callback)(std::move(update));
    batch.clear();
  }
}

}  // namespace sdar
