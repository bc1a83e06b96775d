// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/grpc_server.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr char kServiceName[] = "sdar.v1.GenerationService";
// A prompt of the longest sequence in text, with room.
constexpr int kMaxRequestBytes = 16 << 20;
// Clients may ping this often without being taken for abusive.
constexpr int kMinPingIntervalMs = 10'000;
// Dead clients are noticed within this.
constexpr int kKeepaliveMs = 60'000;
// What calls that come while the server ends may take to be refused.
constexpr std::chrono::milliseconds kLastRefusals(100);
// Calls of one connection at a time; more wait in the client.
constexpr int kMaxStreams = 4096;
constexpr unsigned kTlsLookSeconds = 1;

std::shared_ptr<grpc::ServerCredentials> Credentials(const TlsFiles& tls) {
  namespace tls_api = grpc::experimental;
  if (!tls.enabled()) return grpc::InsecureServerCredentials();
  std::shared_ptr<tls_api::CertificateProviderInterface> provider;
  if (tls.client_ca.empty()) {
    provider = std::make_shared<tls_api::FileWatcherCertificateProvider>(tls.key, tls.certificate,
                                                                         kTlsLookSeconds);
  } else {
    provider = std::make_shared<tls_api::FileWatcherCertificateProvider>(
        tls.key, tls.certificate, tls.client_ca, kTlsLookSeconds);
  }
  tls_api::TlsServerCredentialsOptions options(provider);
  options.watch_identity_key_cert_pairs();
  if (!tls.client_ca.empty()) {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return tls_api::TlsServerCredentials(options);
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const std::string& host, int port,
                                                              const TlsFiles& tls,
                                                              grpc::Service& service) {
  SDAR_RETURN_IF_ERROR(tls.Check());
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort(absl::StrCat(host, ":", port), Credentials(tls), &bound);
  // Without it a second server would share the port, and the kernel would deal out the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.RegisterService(&service);
  auto out = std::unique_ptr<GrpcServer>(new GrpcServer());
  out->server_ = builder.BuildAndStart();
  if (out->server_ == nullptr || bound == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", host, ":", port));
  }
  out->address_ = absl::StrCat(host, ":", bound);
  out->server_->GetHealthCheckService()->SetServingStatus(kServiceName, true);
  return out;
}

GrpcServer::~GrpcServer() {
  if (server_ == nullptr) return;
  // A call that comes at this moment is still refused by its own status; cut off at once it would
  // be CANCELLED, which tells no client to try elsewhere.
  server_->Shutdown(std::chrono::system_clock::now() + kLastRefusals);
  server_->Wait();
}

void GrpcServer::SetServing(bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(serving);
}

}  // namespace sdar
