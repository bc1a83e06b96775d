// SPDX-License-Identifier: Apache-2.0
// The flags of sdar-client and the request they describe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "launcher/client/client_channel.h"
#include "launcher/client/request_flags.h"
#include "launcher/flags/flags.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

struct ClientOptions {
  ServerAccess access;
  std::vector<std::string> message;  // the words of the user's turn
  std::string prompt;
  std::string system;
  std::string tools;  // a file
  bool chat = false;
  bool watch = false;
  int64_t watch_delay_ms = 0;
  bool json = false;
  bool statistics = true;
  bool status = false;
  bool info = false;
  double timeout_s = 0;  // 0: none

  FieldTexts fields;  // of the request

  // InvalidArgument names the flag.
  absl::Status Validate() const;
};

void AddClientFlags(ClientOptions& options, FlagSpec& spec);

// A request with everything but its input. Errors are Validate's and those of the file of tools.
absl::StatusOr<sdar::v1::GenerateRequest> MakeRequest(const ClientOptions& options);

// Gives the request these fields and no others, and what --watch needs.
absl::Status SetFields(const FieldTexts& fields, bool watch, sdar::v1::GenerateRequest& request);

// Appends a turn to the request's conversation.
void AddTurn(const std::string& role, const std::string& content,
             sdar::v1::GenerateRequest& request);

}  // namespace sdar
