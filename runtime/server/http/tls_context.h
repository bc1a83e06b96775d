// SPDX-License-Identifier: Apache-2.0
// The TLS settings of new HTTP connections.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "boost/asio/ssl/context.hpp"
#include "common/steady_time.h"
#include "runtime/server/tls_files.h"

namespace sdar {

// Thread-safe.
class TlsContext {
 public:
  using Context = boost::asio::ssl::context;

  // Errors as of TlsFiles::Check.
  static absl::StatusOr<std::unique_ptr<TlsContext>> Create(const TlsFiles& files);

  // Of the files as they are: looks at them once a second at most. Files that have become wrong
  // leave the context as it was, with an error in the log.
  std::shared_ptr<Context> Current();

 private:
  explicit TlsContext(const TlsFiles& files) : files_(files) {}
  absl::Status Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<std::filesystem::file_time_type> Written() const;

  const TlsFiles files_;
  absl::Mutex mutex_;
  std::shared_ptr<Context> context_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::filesystem::file_time_type> written_ ABSL_GUARDED_BY(mutex_);
  SteadyTime next_look_ ABSL_GUARDED_BY(mutex_) = SteadyTime::InfinitePast();
};

}  // namespace sdar
