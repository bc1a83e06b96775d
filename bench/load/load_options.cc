// SPDX-License-Identifier: Apache-2.0
#include "bench/load/load_options.h"

#include "absl/strings/str_cat.h"

#include "bench/load/length_distribution.h"
#include "common/status_macros.h"

namespace sdar {
namespace {

// `low` and `high` included; not a number is outside.
absl::Status InRange(absl::string_view flag, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": expected ", low, " .. ", high, ", got ", value));
}

}  // namespace

absl::Status LoadOptions::Validate() const {
  SDAR_RETURN_IF_ERROR(InRange("rate", rate, 0, 1e5));
  SDAR_RETURN_IF_ERROR(InRange("clients", clients, 0, 10000));
  SDAR_RETURN_IF_ERROR(InRange("requests", static_cast<double>(requests), 0, 1e8));
  SDAR_RETURN_IF_ERROR(InRange("duration", duration_seconds, 0, 86400));
  SDAR_RETURN_IF_ERROR(InRange("shared-prefix", static_cast<double>(shared_prefix), 0, 1 << 20));
  SDAR_RETURN_IF_ERROR(InRange("prefix-groups", static_cast<double>(prefix_groups), 1, 10000));
  SDAR_RETURN_IF_ERROR(InRange("cancel-fraction", cancel_fraction, 0, 1));
  SDAR_RETURN_IF_ERROR(InRange("timeout-seconds", timeout_seconds, 0, 86400));
  SDAR_RETURN_IF_ERROR(LengthDistribution::Parse("prompt-tokens", prompt_tokens).status());
  SDAR_RETURN_IF_ERROR(LengthDistribution::Parse("output-tokens", output_tokens).status());
  if (server.empty()) {
    if (rate == 0 && clients == 0) return absl::OkStatus();
    return absl::InvalidArgumentError("--rate and --clients need --server");
  }
  if ((rate > 0) == (clients > 0)) {
    return absl::InvalidArgumentError(
        "--server needs one of --rate (open loop) and --clients (closed loop)");
  }
  if (requests == 0 && duration_seconds == 0) {
    return absl::InvalidArgumentError("--server needs --requests, --duration or both");
  }
  return absl::OkStatus();
}

void AddLoadFlags(LoadOptions& o, FlagSpec& spec) {
  spec.Group("Load on a server")(
      "server", TextFlag(&o.server, "HOST:PORT"),
      "HOST:PORT of a serving job: puts load on it; the flags below say which")(
      "rate", Flag(&o.rate), "requests per second, Poisson arrivals that wait for no answer")(
      "clients", Flag(&o.clients), "or this many calls open at a time, each followed by the next")(
      "requests", Flag(&o.requests), "requests to send; 0: no limit but --duration")(
      "duration", Flag(&o.duration_seconds, "SECONDS"),
      "seconds to send for; 0: no limit but --requests")(
      "prompt-tokens", Flag(&o.prompt_tokens, "LENGTHS"),
      "length of prompts: fixed:N, uniform:A:B or exponential:MEAN:MAX")(
      "output-tokens", Flag(&o.output_tokens, "LENGTHS"), "length of outputs, likewise")(
      "shared-prefix", Flag(&o.shared_prefix), "tokens that come before every prompt, shared")(
      "prefix-groups", Flag(&o.prefix_groups), "different shared prefixes, dealt out at random")(
      "cancel-fraction", Flag(&o.cancel_fraction),
      "part of the calls that are cancelled somewhere in their output")(
      "timeout-seconds", Flag(&o.timeout_seconds, "SECONDS"), "deadline of every request; 0: none")(
      "seed", Flag(&o.seed), "of everything that is drawn")(
      "provisional", SwitchFlag(&o.provisional), "ask for the block's state after every step");
}

}  // namespace sdar
