// SPDX-License-Identifier: Apache-2.0
// Certificates of the listening ends.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace sdar {

// PEM files, read again when they change. All empty: no TLS.
struct TlsFiles {
  std::string certificate;  // the server's chain
  std::string key;
  std::string client_ca;  // clients must show a certificate of one of these; empty: they
                          // need none. HTTP's probes never do

  bool enabled() const { return !certificate.empty(); }
  // Whether those that are given go together. InvalidArgument names the flag (--tls-cert,
  // --tls-key,
  // --tls-client-ca).
  absl::Status Check() const;
};

}  // namespace sdar
