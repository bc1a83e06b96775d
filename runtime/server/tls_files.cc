// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/tls_files.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include "common/status_macros.h"

namespace sdar {
namespace {

absl::Status CheckReadable(const char* flag, const std::string& path) {
  if (path.empty() || access(path.c_str(), R_OK) == 0) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(flag, ": cannot read ", path));
}

// What OpenSSL says about the file of a flag.
absl::Status Refusal(const char* flag, const std::string& path) {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": ", path, ": ", reason == nullptr ? "cannot be used" : reason));
}

}  // namespace

absl::Status TlsFiles::Check() const {
  if (certificate.empty() != key.empty()) {
    return absl::InvalidArgumentError("expected --tls-cert and --tls-key together, or neither");
  }
  if (certificate.empty() && !client_ca.empty()) {
    return absl::InvalidArgumentError("--tls-client-ca: expected --tls-cert and --tls-key as well");
  }
  if (!enabled()) return absl::OkStatus();
  SDAR_RETURN_IF_ERROR(CheckReadable("--tls-cert", certificate));
  SDAR_RETURN_IF_ERROR(CheckReadable("--tls-key", key));
  SDAR_RETURN_IF_ERROR(CheckReadable("--tls-client-ca", client_ca));
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_server_method()),
                                                             &SSL_CTX_free);
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate.c_str()) != 1) {
    return Refusal("--tls-cert", certificate);
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return Refusal("--tls-key", key);
  }
  if (!client_ca.empty() &&
      SSL_CTX_load_verify_locations(context.get(), client_ca.c_str(), nullptr) != 1) {
    return Refusal("--tls-client-ca", client_ca);
  }
  return absl::OkStatus();
}

}  // namespace sdar
