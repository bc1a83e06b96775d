// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/delivery.h"

namespace sdar {

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
      batch.swap(items_);
    }
    for (auto& [callback, update] : batch) (*callback)(std::move(update));
    batch.clear();
  }
}

}  // namespace sdar
