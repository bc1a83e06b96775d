// SPDX-License-Identifier: Apache-2.0
// The certificates of the listening ends, loaded and checked for all transports alike.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "runtime/server/file_stamp.h"
#include "runtime/server/tls_files.h"

namespace sdar {

// What a transport needs, in PEM.
struct CertificateTexts {
  std::string chain;
  std::string key;
  std::string client_ca;  // empty: clients need no certificate
  uint64_t version = 0;   // another one for other texts
};

// The ciphers of TLS 1.2 that are offered, those that gRPC offers: with forward secrecy and
// authenticated encryption. TLS 1.3 has no others.
inline constexpr char kTlsCiphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-RSA-AES256-GCM-SHA384";

// Thread-safe.
class ServerCertificates {
 public:
  // InvalidArgument or NotFound names the flag of the file that cannot be used. Requires: there
  // are files.
  static absl::StatusOr<std::shared_ptr<ServerCertificates>> Load(
      const TlsFiles& files, absl::Duration look_interval = absl::Seconds(1));

  // Of the files as they are: looks at them when the interval has passed. What does not fit
  // together or is no certificate leaves the texts as they were, with an error in the log.
  std::shared_ptr<const CertificateTexts> Current();

 private:
  using Stamps = std::array<FileStamp, 3>;

  ServerCertificates(const TlsFiles& files, absl::Duration look_interval)
      : files_(files), look_(absl::ToChronoNanoseconds(look_interval)) {}
  Stamps Look() const;
  absl::Status Read() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const TlsFiles files_;
  absl::Mutex mutex_;
  std::shared_ptr<const CertificateTexts> texts_ ABSL_GUARDED_BY(mutex_);
  Stamps stamps_ ABSL_GUARDED_BY(mutex_);  // of the last files read, good or not
  LookTimer look_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sdar
