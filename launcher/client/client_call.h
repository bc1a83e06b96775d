// SPDX-License-Identifier: Apache-2.0
// One call of GenerationService.Generate.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

#include "launcher/client/terminal/interrupts.h"
#include "sdar/v1/generation.grpc.pb.h"

namespace sdar {

// What one sample has become so far. The per-token vectors are as long as token_ids or empty.
struct Sample {
  std::string text;
  std::vector<uint32_t> token_ids;
  std::vector<float> logprobs;
  std::vector<float> entropies;
  std::vector<uint32_t> steps;
  std::vector<sdar::v1::Delta::Top> top;
  std::optional<sdar::v1::Finished> finished;
};

// How a call went. Samples hold what arrived, also when the call failed or was cancelled.
struct Generation {
  absl::Status status;
  bool interrupted = false;  // by Ctrl-C
  std::string request_id;
  std::vector<Sample> samples;
  absl::Duration first_text = absl::ZeroDuration();  // from the call's start; zero: no text came
  absl::Duration total = absl::ZeroDuration();
};

// The status as our own kind; the codes are the same numbers.
absl::Status FromGrpc(const grpc::Status& status);

// Calls Generate and hands every event to `on_event` as it comes. timeout zero: none. Blocks.
Generation Generate(sdar::v1::GenerationService::StubInterface& stub,
                    const sdar::v1::GenerateRequest& request, absl::Duration timeout,
                    Interrupts& interrupts,
                    absl::FunctionRef<void(const sdar::v1::GenerateResponse&)> on_event);

}  // namespace sdar
