// SPDX-License-Identifier: Apache-2.0
// How a client program reaches a server and shows who it is.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpcpp/channel.h"

namespace sdar {

struct ServerAccess {
  std::string server = "127.0.0.1:50051";  // HOST:PORT
  bool tls = false;
  std::string tls_ca;    // PEM file of authorities; empty: those of the system
  std::string tls_cert;  // PEM files of the client's own certificate, if the server wants one
  std::string tls_key;
  std::string
      api_key_file;  // holds the bearer token; empty: the variable SDAR_API_KEY, if it is set
};

// A channel whose calls speak TLS where asked to and carry the token where there is one. Connects
// when the first call is made. NotFound or InvalidArgument names the flag.
absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const ServerAccess& access);

}  // namespace sdar
