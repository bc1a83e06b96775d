// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/grpc/grpc_credentials.h"

#include <string>
#include <utility>

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

namespace sdar {
namespace {

class Credentials final : public grpc::ServerCredentials {
 public:
  explicit Credentials(std::shared_ptr<ServerCertificates> certificates)
      : certificates_(std::move(certificates)) {
    const bool asks = !certificates_->Current()->client_ca.empty();
    options_ = grpc_ssl_server_credentials_create_options_using_config_fetcher(
        asks ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
             : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        &Credentials::Fetch, this);
    credentials_ = grpc_ssl_server_credentials_create_with_options(options_);
  }
  ~Credentials() override { grpc_server_credentials_release(credentials_); }
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  // Access is checked by the service.
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // gRPC asks under a lock of the port's, before every handshake.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* user_data, grpc_ssl_server_certificate_config** config) {
    auto& self = *static_cast<Credentials*>(user_data);
    const auto texts = self.certificates_->Current();
    if (texts->version == self.version_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {texts->key.c_str(), texts->chain.c_str()};
    // gRPC takes no configuration without authorities, though it asks them nothing where no client
    // is asked for a certificate.
    const std::string& authorities = texts->client_ca.empty() ? texts->chain : texts->client_ca;
    *config = grpc_ssl_server_certificate_config_create(authorities.c_str(), &pair, 1);
    self.version_ = texts->version;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const std::shared_ptr<ServerCertificates> certificates_;
  grpc_ssl_server_credentials_options* options_ = nullptr;  // the credentials' once they are made
  grpc_server_credentials* credentials_ = nullptr;
  uint64_t version_ = 0;  // of the texts that gRPC has
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> MakeGrpcCredentials(
    std::shared_ptr<ServerCertificates> certificates) {
  return std::make_shared<Credentials>(std::move(certificates));
}

}  // namespace sdar
