// SPDX-License-Identifier: Apache-2.0
// TLS of the gRPC server, whose certificates change while it serves.
#pragma once

#include <memory>

#include <grpcpp/security/server_credentials.h>

#include "runtime/server/server_certificates.h"

namespace sdar {

// For one listening address: every new connection gets the certificates as they are then. gRPC's
// own file watcher hands on files that are empty or do not fit, and ends the process by it.
// Requires: the credentials outlive the server, which does not keep them.
std::shared_ptr<grpc::ServerCredentials> MakeGrpcCredentials(
    std::shared_ptr<ServerCertificates> certificates);

}  // namespace sdar
