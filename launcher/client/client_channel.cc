// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/client_channel.h"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/client_interceptor.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

using grpc::experimental::ClientInterceptorFactoryInterface;
using grpc::experimental::ClientRpcInfo;
using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;

// Adds the token to a call. gRPC's own call credentials refuse to without TLS.
class AddToken : public Interceptor {
 public:
  explicit AddToken(std::string value) : value_(std::move(value)) {}
  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->emplace("authorization", value_);
    }
    methods->Proceed();
  }

 private:
  const std::string value_;
};

class AddTokenFactory : public ClientInterceptorFactoryInterface {
 public:
  explicit AddTokenFactory(std::string value) : value_(std::move(value)) {}
  Interceptor* CreateClientInterceptor(ClientRpcInfo*) override { return new AddToken(value_); }

 private:
  const std::string value_;
};

absl::StatusOr<std::string> ReadFlagFile(const char* flag, const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  if (file) return text.str();
  return absl::NotFoundError(absl::StrCat(flag, ": cannot read ", path));
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const ServerAccess& access) {
  const bool any_file =
      !access.tls_ca.empty() || !access.tls_cert.empty() || !access.tls_key.empty();
  if (access.tls_cert.empty() != access.tls_key.empty()) {
    return absl::InvalidArgumentError("expected --tls-cert and --tls-key together, or neither");
  }
  if (!access.tls && !any_file) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  SDAR_ASSIGN_OR_RETURN(options.pem_root_certs, ReadFlagFile("--tls-ca", access.tls_ca));
  SDAR_ASSIGN_OR_RETURN(options.pem_cert_chain, ReadFlagFile("--tls-cert", access.tls_cert));
  SDAR_ASSIGN_OR_RETURN(options.pem_private_key, ReadFlagFile("--tls-key", access.tls_key));
  return grpc::SslCredentials(options);
}

absl::StatusOr<std::string> ReadToken(const ServerAccess& access) {
  const char* variable = std::getenv("SDAR_API_KEY");
  std::string token = variable == nullptr ? "" : variable;
  if (!access.api_key_file.empty()) {
    SDAR_ASSIGN_OR_RETURN(token, ReadFlagFile("--api-key-file", access.api_key_file));
  }
  absl::StripAsciiWhitespace(&token);
  for (char c : token) {
    if (c > ' ' && c < 0x7f) continue;
    return absl::InvalidArgumentError(
        "--api-key-file: expected one token of visible ASCII characters");
  }
  return token;
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const ServerAccess& access) {
  SDAR_ASSIGN_OR_RETURN(const auto credentials, Credentials(access));
  SDAR_ASSIGN_OR_RETURN(const std::string token, ReadToken(access));
  std::vector<std::unique_ptr<ClientInterceptorFactoryInterface>> interceptors;
  if (!token.empty()) {
    interceptors.push_back(std::make_unique<AddTokenFactory>(absl::StrCat("Bearer ", token)));
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::experimental::CreateCustomChannelWithInterceptors(
      access.server, credentials, arguments, std::move(interceptors));
}

}  // namespace sdar
