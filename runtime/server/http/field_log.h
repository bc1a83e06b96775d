// SPDX-License-Identifier: Apache-2.0
// Says once that clients send a field which nobody knows.
#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace sdar {

// Thread-safe. Remembers a bounded number of names: more are not logged.
class FieldLog {
 public:
  // Logs a name that is new, with the route that it was sent to.
  void Note(const std::string& field, absl::string_view path);

 private:
  absl::Mutex mutex_;
  absl::flat_hash_set<std::string> names_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sdar
