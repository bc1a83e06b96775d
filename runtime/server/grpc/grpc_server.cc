// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/grpc/grpc_server.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>

#include "runtime/server/grpc/connection_end.h"
#include "runtime/server/grpc/grpc_credentials.h"
#include "sdar/v1/generation.grpc.pb.h"

namespace sdar {
namespace {

// A prompt of the longest sequence in text, with room.
constexpr int kMaxRequestBytes = 16 << 20;
// Clients may ping this often without being taken for abusive.
constexpr int kMinPingIntervalMs = 10'000;
// Dead clients are noticed within this.
constexpr int kKeepaliveMs = 60'000;
// What connections may take to end, with their calls, when the server ends.
constexpr absl::Duration kLastRefusals = absl::Milliseconds(200);
// Calls of one connection at a time; more wait in the client.
constexpr int kMaxStreams = 4096;
// A connection that has not begun to speak HTTP/2 by then is closed.
constexpr int kHandshakeMs = 10'000;
// Of one call, as of HTTP's heads.
constexpr int kMaxMetadataBytes = 16 << 10;
// Of all connections' buffers together; beyond it gRPC takes memory back from them.
constexpr size_t kMaxMemoryBytes = size_t{128} << 20;

void AddLimits(grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.SetResourceQuota(grpc::ResourceQuota("sdar-serve").Resize(kMaxMemoryBytes));
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(ListeningSockets sockets,
                                                              const Certificates& certificates,
                                                              int max_descriptors,
                                                              grpc::Service& service) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  auto out = std::unique_ptr<GrpcServer>(new GrpcServer());
  out->credentials_ = certificates == nullptr ? grpc::InsecureServerCredentials()
                                              : MakeGrpcCredentials(certificates);
  auto connections = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, out->credentials_);
  AddLimits(builder);
  builder.RegisterService(&service);
  builder.RegisterService(&out->reflection_);
  out->address_ = sockets.Text();
  out->port_ = sockets.port();
  out->server_ = builder.BuildAndStart();
  if (out->server_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("gRPC: cannot serve on ", out->address_));
  }
  out->acceptor_ =
      std::make_unique<GrpcAcceptor>(std::move(sockets), std::move(connections), max_descriptors);
  out->server_->GetHealthCheckService()->SetServingStatus(
      sdar::v1::GenerationService::service_full_name(), true);
  return out;
}

GrpcServer::~GrpcServer() {
  if (server_ == nullptr) return;
  acceptor_.reset();
  EndConnections(port_, kLastRefusals);
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

void GrpcServer::SetServing(bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(serving);
}

}  // namespace sdar
