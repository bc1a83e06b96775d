// SPDX-License-Identifier: Apache-2.0
// One connection to a server, and how its answers are shown.
#pragma once

#include <memory>
#include <ostream>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/channel.h"

#include "launcher/client/client_call.h"
#include "launcher/client/client_options.h"
#include "sdar/v1/generation.grpc.pb.h"

namespace sdar {

// Answers go to `out`, all else that is said to `err`.
struct ClientOutput {
  std::ostream& out;
  std::ostream& err;
  bool terminal = false;    // out: control characters are replaced
  bool redraws = false;     // out: a block may be redrawn in place
  bool dims_notes = false;  // err
};

class Client {
 public:
  // `options` and `interrupts` must outlive it.
  Client(const ClientOptions& options, const std::shared_ptr<grpc::Channel>& channel,
         Interrupts& interrupts, const ClientOutput& output);

  absl::StatusOr<sdar::v1::GetStatusResponse> GetStatus();
  absl::StatusOr<sdar::v1::GetModelInfoResponse> GetModelInfo();

  // Shows the answer as it comes.
  Generation Ask(const sdar::v1::GenerateRequest& request);
  // Says what is to be said after an answer. Returns the program's exit code.
  int Report(const Generation& generation);
  // Says it and returns the exit code.
  int Fail(const absl::Status& status);

 private:
  const ClientOptions& options_;
  Interrupts& interrupts_;
  const ClientOutput output_;
  std::unique_ptr<sdar::v1::GenerationService::Stub> stub_;
};

}  // namespace sdar
