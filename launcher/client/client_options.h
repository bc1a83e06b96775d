// SPDX-License-Identifier: Apache-2.0
// The flags of sdar-client and the request they describe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "launcher/client/client_channel.h"
#include "launcher/flags/flags.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

// An absent optional is not sent: the server's default applies.
struct ClientOptions {
  ServerAccess access;
  std::vector<std::string> message;  // the words of the user's turn
  std::string prompt;
  std::string system;
  bool watch = false;
  int64_t watch_delay_ms = 0;
  bool json = false;
  bool statistics = true;
  bool status = false;
  bool info = false;
  double timeout_s = 0;  // 0: none

  std::optional<float> temperature, top_p, min_p;
  std::optional<float> repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<float> confidence_threshold, entropy_bound;
  std::optional<int64_t> top_k, n, block_length, denoising_steps;
  std::optional<int64_t> max_tokens, min_tokens, logprobs;
  std::string drafts;              // auto, off or a number; empty: absent
  std::string seed;                // decimal, 64 bits; empty: absent
  std::string remasking_strategy;  // empty: absent
  std::string stop_token_ids;      // separated by commas
  std::vector<std::string> stop;
  bool ignore_eos = false;

  // InvalidArgument names the flag.
  absl::Status Validate() const;
};

void AddClientFlags(ClientOptions& options, FlagSpec& spec);

// A request with everything but its input. Errors are Validate's.
absl::StatusOr<sdar::v1::GenerateRequest> MakeRequest(const ClientOptions& options);

// Appends a turn to the request's conversation.
void AddTurn(const std::string& role, const std::string& content,
             sdar::v1::GenerateRequest& request);

}  // namespace sdar
