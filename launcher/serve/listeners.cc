// SPDX-License-Identifier: Apache-2.0
#include "launcher/serve/listeners.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_split.h"
#include <sys/resource.h>

#include "common/status_macros.h"
#include "runtime/checkpoint/safetensors_writer.h"

namespace sdar {
namespace {

// Probes are few and small.
constexpr int kAdminConnections = 128;
constexpr size_t kAdminBodyBytes = size_t{1} << 20;

// Descriptors that gRPC's connections may bring the process to.
constexpr rlim_t kMaxDescriptors = 8192;

// How many descriptors this process may have: as many as the system lets it, for 1024, the usual
// limit, are fewer than the servers take.
int RaiseDescriptorLimit() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t before = std::exchange(limit.rlim_cur, limit.rlim_max);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 2 * kMaxDescriptors));
}

bool AreLoopback(const std::vector<std::string>& ips) {
  return std::all_of(ips.begin(), ips.end(), [](const std::string& ip) { return IsLoopback(ip); });
}

absl::StatusOr<OriginPolicy> MakePolicy(const ServeOptions& options, const std::string& host,
                                        const std::vector<std::string>& ips) {
  return OriginPolicy::Create(options.allowed_origins, AreLoopback(ips),
                              absl::StrSplit(host, ',', absl::SkipEmpty()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listeners>> Listeners::Open(const ServeOptions& options) {
  SDAR_RETURN_IF_ERROR(options.tls.Check());
  auto out = std::unique_ptr<Listeners>(new Listeners(options));
  out->descriptor_limit_ = RaiseDescriptorLimit();
  if (options.tls.enabled()) {
    SDAR_ASSIGN_OR_RETURN(out->certificates_, ServerCertificates::Load(options.tls));
  }
  SDAR_ASSIGN_OR_RETURN(const std::vector<std::string> ips, ResolveHosts(options.host));
  SDAR_ASSIGN_OR_RETURN(const std::vector<std::string> admin_ips, ResolveHosts(options.admin_host));
  SDAR_ASSIGN_OR_RETURN(OriginPolicy origins, MakePolicy(options, options.host, ips));
  SDAR_ASSIGN_OR_RETURN(OriginPolicy probe_origins,
                        MakePolicy(options, options.admin_host, admin_ips));
  out->gateway_ = std::make_unique<HttpGateway>(std::move(origins), std::move(probe_origins),
                                                options.strict_fields);
  SDAR_ASSIGN_OR_RETURN(out->grpc_sockets_, ListeningSockets::Open("gRPC", ips, options.port));
  if (options.http_port >= 0) SDAR_RETURN_IF_ERROR(out->OpenHttp());
  if (options.admin_port >= 0) SDAR_RETURN_IF_ERROR(out->OpenAdmin());
  return out;
}

absl::Status Listeners::OpenHttp() {
  HttpServerOptions http;
  http.certificates = certificates_;
  http.max_connections = std::min(http.max_connections, descriptor_limit_ / 4);
  SDAR_ASSIGN_OR_RETURN(ListeningSockets sockets,
                        ListeningSockets::Open("HTTP", grpc_sockets_->ips(), options_.http_port));
  SDAR_ASSIGN_OR_RETURN(http_, HttpServer::Start(std::move(sockets), http, gateway_->Handlers()));
  return absl::OkStatus();
}

absl::Status Listeners::OpenAdmin() {
  HttpServerOptions admin;
  admin.threads = 1;
  admin.max_connections = kAdminConnections;
  admin.body_bytes = kAdminBodyBytes;
  SDAR_ASSIGN_OR_RETURN(const std::vector<std::string> ips, ResolveHosts(options_.admin_host));
  SDAR_ASSIGN_OR_RETURN(ListeningSockets sockets,
                        ListeningSockets::Open("--admin-port", ips, options_.admin_port));
  SDAR_ASSIGN_OR_RETURN(admin_,
                        HttpServer::Start(std::move(sockets), admin, gateway_->ProbeHandlers()));
  if (options_.admin_address_file.empty()) return absl::OkStatus();
  return WriteFileAtomically(options_.admin_address_file, admin_->address() + "\n");
}

absl::Status Listeners::Serve(GenerationService& service, TextWorkers& workers,
                              std::vector<std::string> models) {
  grpc_gateway_ = std::make_unique<GrpcGateway>(service, workers);
  // Half is left to HTTP, to probes and to files.
  SDAR_ASSIGN_OR_RETURN(grpc_, GrpcServer::Start(*std::move(grpc_sockets_), certificates_,
                                                 descriptor_limit_ / 2, *grpc_gateway_));
  gateway_->Serve(service, workers, std::move(models));
  if (http_ != nullptr && !options_.http_address_file.empty()) {
    SDAR_RETURN_IF_ERROR(WriteFileAtomically(options_.http_address_file, http_->address() + "\n"));
  }
  if (options_.address_file.empty()) return absl::OkStatus();
  return WriteFileAtomically(options_.address_file, grpc_->address() + "\n");
}

Listeners::~Listeners() { Close(); }

void Listeners::Close() {
  admin_.reset();
  http_.reset();
  grpc_.reset();
  grpc_gateway_.reset();
  for (const std::string& file :
       {options_.address_file, options_.http_address_file, options_.admin_address_file}) {
    std::error_code ignored;
    if (!file.empty()) std::filesystem::remove(file, ignored);
  }
}

}  // namespace sdar
