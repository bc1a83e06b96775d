// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/tls_files.h"

namespace sdar {

absl::Status TlsFiles::Check() const {
  if (certificate.empty() != key.empty()) {
    return absl::InvalidArgumentError("expected --tls-cert and --tls-key together, or neither");
  }
  if (certificate.empty() && !client_ca.empty()) {
    return absl::InvalidArgumentError("--tls-client-ca: expected --tls-cert and --tls-key as well");
  }
  return absl::OkStatus();
}

}  // namespace sdar
