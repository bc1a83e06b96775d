// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/tls_context.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "common/log.h"
#include "common/status_macros.h"
#include "common/steady_time.h"

namespace sdar {
namespace {

namespace ssl = boost::asio::ssl;

// Sessions of clients with certificates can only be resumed where the server gives them a name.
constexpr unsigned char kSessionContext[] = "sdar-serve";

absl::StatusOr<std::shared_ptr<ssl::context>> MakeContext(const CertificateTexts& texts) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  boost::system::error_code error;
  context->set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 |
                           ssl::context::no_sslv3 | ssl::context::no_tlsv1 |
                           ssl::context::no_tlsv1_1 | ssl::context::no_compression,
                       error);
  SSL_CTX* const native = context->native_handle();
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_cipher_list(native, kTlsCiphers);
  SSL_CTX_set_session_id_context(native, kSessionContext, sizeof(kSessionContext) - 1);
  const auto buffer = [](const std::string& text) { return boost::asio::buffer(text); };
  if (!error) context->use_certificate_chain(buffer(texts.chain), error);
  if (!error) context->use_private_key(buffer(texts.key), ssl::context::pem, error);
  if (!error && !texts.client_ca.empty()) {
    // A client without any is let in to ask what probes ask, and nothing else (HttpGateway).
    context->set_verify_mode(ssl::verify_peer, error);
    if (!error) context->add_certificate_authority(buffer(texts.client_ca), error);
  }
  if (error) return absl::InvalidArgumentError(absl::StrCat("TLS: ", error.message()));
  return context;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsContext>> TlsContext::Create(
    std::shared_ptr<ServerCertificates> certificates) {
  auto out = std::unique_ptr<TlsContext>(new TlsContext(std::move(certificates)));
  const auto texts = out->certificates_->Current();
  absl::MutexLock lock(&out->mutex_);
  SDAR_ASSIGN_OR_RETURN(out->context_, MakeContext(*texts));
  out->version_ = texts->version;
  return out;
}

std::shared_ptr<TlsContext::Context> TlsContext::Current() {
  const auto texts = certificates_->Current();
  absl::MutexLock lock(&mutex_);
  if (texts->version == version_) return context_;
  version_ = texts->version;
  auto context = MakeContext(*texts);
  if (!context.ok()) {
    spdlog::error("{}", std::string(context.status().message()));
  } else {
    context_ = *std::move(context);
  }
  return context_;
}

}  // namespace sdar
