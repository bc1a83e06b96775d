// SPDX-License-Identifier: Apache-2.0
// The TLS settings of new HTTP connections.
#pragma once

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "boost/asio/ssl/context.hpp"
#include "runtime/server/server_certificates.h"

namespace sdar {

// Thread-safe.
class TlsContext {
 public:
  using Context = boost::asio::ssl::context;

  // InvalidArgument when OpenSSL takes none of it.
  static absl::StatusOr<std::unique_ptr<TlsContext>> Create(
      std::shared_ptr<ServerCertificates> certificates);

  // Of the certificates as they are.
  std::shared_ptr<Context> Current();

 private:
  explicit TlsContext(std::shared_ptr<ServerCertificates> certificates)
      : certificates_(std::move(certificates)) {}

  const std::shared_ptr<ServerCertificates> certificates_;
  absl::Mutex mutex_;
  std::shared_ptr<Context> context_ ABSL_GUARDED_BY(mutex_);
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 0;  // of the texts that context_ was made from
};

}  // namespace sdar
