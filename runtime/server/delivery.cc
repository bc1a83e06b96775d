// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/delivery.h"

namespace sdar {

Delivery::Delivery() : thread_([this] { Loop(); }) {}

Delivery::~Delivery() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    news_.Signal();
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
  bool wake;
  {
    absl::MutexLock lock(&mutex_);
    items_.push_back(std::move(item));
    wake = std::exchange(sleeping_, false);
  }
  if (wake) news_.Signal();
}

void Delivery::Loop() {
  std::vector<Item> batch;
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      while (items_.empty() && !closing_) {
        sleeping_ = true;
        news_.Wait(&mutex_);
      }
      sleeping_ = false;
      if (items_.empty()) return;
      batch.swap(items_);
    }
    for (auto& [callback, update] : batch) (*callback)(std::move(update));
    batch.clear();
  }
}

}  // namespace sdar
