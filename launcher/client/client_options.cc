// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/client_options.h"

#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "common/status_macros.h"
#include "common/utf8.h"

namespace sdar {
namespace {

namespace po = boost::program_options;
using sdar::v1::GenerateRequest;

template <typename T>
po::typed_value<T>* OptionalFlag(std::optional<T>* target) {
  return po::value<T>()->notifier([target](const T& value) { *target = value; });
}

po::typed_value<std::vector<std::string>>* ListFlag(std::vector<std::string>* target) {
  return po::value<std::vector<std::string>>(target)->composing();
}

absl::Status CheckText(absl::string_view flag, const std::string& text) {
  if (IsValidUtf8(text)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": the text is not UTF-8"));
}

// Only what the wire cannot carry is refused here; the server knows the real bounds.
absl::Status CheckCount(absl::string_view flag, const std::optional<int64_t>& value) {
  if (!value.has_value() || (*value >= 0 && *value <= std::numeric_limits<uint32_t>::max())) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": expected a number from 0 to 4294967295, got ", *value));
}

absl::StatusOr<sdar::v1::RemaskingStrategy> ParseStrategy(const std::string& name) {
  if (name.empty()) return sdar::v1::REMASKING_STRATEGY_UNSPECIFIED;
  if (name == "sequential") return sdar::v1::SEQUENTIAL;
  if (name == "low_confidence_static") return sdar::v1::LOW_CONFIDENCE_STATIC;
  if (name == "low_confidence_dynamic") return sdar::v1::LOW_CONFIDENCE_DYNAMIC;
  if (name == "entropy_bounded") return sdar::v1::ENTROPY_BOUNDED;
  return absl::InvalidArgumentError(
      absl::StrCat("--remasking-strategy: expected one of sequential, low_confidence_static, "
                   "low_confidence_dynamic, entropy_bounded, got '",
                   name, "'"));
}

absl::StatusOr<std::vector<uint32_t>> ParseIds(const std::string& list) {
  std::vector<uint32_t> ids;
  if (list.empty()) return ids;
  for (absl::string_view item : absl::StrSplit(list, ',')) {
    uint32_t id = 0;
    if (!absl::SimpleAtoi(item, &id)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--stop-token-ids: expected token ids separated by commas, got '", list, "'"));
    }
    ids.push_back(id);
  }
  return ids;
}

absl::StatusOr<int32_t> ParseDrafts(const std::string& text) {
  if (text == "auto") return -1;
  if (text == "off") return 0;
  int32_t count = 0;
  if (absl::SimpleAtoi(text, &count) && count >= 0) return count;
  return absl::InvalidArgumentError(
      absl::StrCat("--drafts: expected auto, off or a number, got '", text, "'"));
}

absl::StatusOr<uint64_t> ParseSeed(const std::string& text) {
  uint64_t seed = 0;
  if (absl::SimpleAtoi(text, &seed)) return seed;
  return absl::InvalidArgumentError(
      absl::StrCat("--seed: expected a number from 0 to 2^64 - 1, got '", text, "'"));
}

absl::Status FillSampling(const ClientOptions& o, sdar::v1::SamplingParameters& out) {
  if (o.temperature) out.set_temperature(*o.temperature);
  if (o.top_k) out.set_top_k(static_cast<uint32_t>(*o.top_k));
  if (o.top_p) out.set_top_p(*o.top_p);
  if (o.min_p) out.set_min_p(*o.min_p);
  if (o.repetition_penalty) out.set_repetition_penalty(*o.repetition_penalty);
  if (o.presence_penalty) out.set_presence_penalty(*o.presence_penalty);
  if (o.frequency_penalty) out.set_frequency_penalty(*o.frequency_penalty);
  if (!o.seed.empty()) {
    SDAR_ASSIGN_OR_RETURN(const uint64_t seed, ParseSeed(o.seed));
    out.set_seed(seed);
  }
  if (o.n) out.set_n(static_cast<uint32_t>(*o.n));
  if (o.block_length) out.set_block_length(static_cast<uint32_t>(*o.block_length));
  if (o.denoising_steps) out.set_denoising_steps(static_cast<uint32_t>(*o.denoising_steps));
  SDAR_ASSIGN_OR_RETURN(const auto strategy, ParseStrategy(o.remasking_strategy));
  out.set_remasking_strategy(strategy);
  if (o.confidence_threshold) out.set_confidence_threshold(*o.confidence_threshold);
  if (o.entropy_bound) out.set_entropy_bound(*o.entropy_bound);
  return absl::OkStatus();
}

absl::Status FillStopping(const ClientOptions& o, sdar::v1::StoppingParameters& out) {
  if (o.max_tokens) out.set_max_tokens(static_cast<uint32_t>(*o.max_tokens));
  if (o.min_tokens) out.set_min_tokens(static_cast<uint32_t>(*o.min_tokens));
  for (const std::string& stop : o.stop) {
    SDAR_RETURN_IF_ERROR(CheckText("stop", stop));
    out.add_stop(stop);
  }
  SDAR_ASSIGN_OR_RETURN(const std::vector<uint32_t> ids, ParseIds(o.stop_token_ids));
  for (uint32_t id : ids) out.add_stop_token_ids(id);
  if (o.ignore_eos) out.set_ignore_eos(true);
  return absl::OkStatus();
}

void AddSamplingFlags(ClientOptions& o, FlagSpec& spec) {
  spec.Group("Sampling")("temperature", OptionalFlag(&o.temperature), "0: greedy")(
      "top-k", OptionalFlag(&o.top_k), "draw from the k most probable tokens; 0: no cut")(
      "top-p", OptionalFlag(&o.top_p), "draw from the most probable tokens that hold this mass")(
      "min-p", OptionalFlag(&o.min_p),
      "draw from tokens with this part of the largest probability")(
      "repetition-penalty", OptionalFlag(&o.repetition_penalty), "1: none")(
      "presence-penalty", OptionalFlag(&o.presence_penalty), "0: none")(
      "frequency-penalty", OptionalFlag(&o.frequency_penalty), "0: none")(
      "seed", TextFlag(&o.seed), "of the draws; absent: the server draws one")(
      "n", OptionalFlag(&o.n), "samples of the answer")(
      "block-length", OptionalFlag(&o.block_length), "positions denoised together")(
      "denoising-steps", OptionalFlag(&o.denoising_steps), "steps of a block at most")(
      "remasking-strategy", TextFlag(&o.remasking_strategy),
      "sequential, low_confidence_static, low_confidence_dynamic or entropy_bounded")(
      "confidence-threshold", OptionalFlag(&o.confidence_threshold),
      "low_confidence_dynamic reveals all positions above it")(
      "entropy-bound", OptionalFlag(&o.entropy_bound),
      "summed entropy that entropy_bounded reveals in a step")(
      "drafts", TextFlag(&o.drafts),
      "guessed states evaluated beside the true one: auto, off or a number; the answer is the "
      "same");
}

void AddStoppingFlags(ClientOptions& o, FlagSpec& spec) {
  spec.Group("Stopping")("max-tokens", OptionalFlag(&o.max_tokens), "of the answer")(
      "min-tokens", OptionalFlag(&o.min_tokens), "no stop before so many")(
      "stop", ListFlag(&o.stop), "text that ends the answer; may be given several times")(
      "stop-token-ids", TextFlag(&o.stop_token_ids), "token ids that end it, such as 7,11")(
      "ignore-eos", SwitchFlag(&o.ignore_eos), "do not stop at the model's end tokens")(
      "logprobs", OptionalFlag(&o.logprobs),
      "with --json: logprobs of the tokens and of so many alternatives");
}

}  // namespace

absl::Status ClientOptions::Validate() const {
  const std::pair<absl::string_view, const std::optional<int64_t>*> counts[] = {
      {"top-k", &top_k},
      {"n", &n},
      {"block-length", &block_length},
      {"denoising-steps", &denoising_steps},
      {"max-tokens", &max_tokens},
      {"min-tokens", &min_tokens},
      {"logprobs", &logprobs},
  };
  for (const auto& [flag, value] : counts) SDAR_RETURN_IF_ERROR(CheckCount(flag, *value));
  for (const std::string& word : message) SDAR_RETURN_IF_ERROR(CheckText("message", word));
  SDAR_RETURN_IF_ERROR(CheckText("prompt", prompt));
  SDAR_RETURN_IF_ERROR(CheckText("system", system));
  if (access.server.empty()) return absl::InvalidArgumentError("--server: expected HOST:PORT");
  if (status && info) return absl::InvalidArgumentError("--status and --info: choose one");
  if (!message.empty() && !prompt.empty()) {
    return absl::InvalidArgumentError("--message and --prompt: choose one");
  }
  if (!system.empty() && !prompt.empty()) {
    return absl::InvalidArgumentError("--system belongs to a chat; --prompt is sent as it is");
  }
  if (watch && json) return absl::InvalidArgumentError("--watch and --json: choose one");
  if (watch && n.value_or(1) != 1) {
    return absl::InvalidArgumentError("--watch shows one sample; --n must be 1");
  }
  if (!(timeout_s >= 0 && timeout_s < 1e9)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--timeout: expected seconds, at least 0, got ", timeout_s));
  }
  if (watch_delay_ms < 0 || watch_delay_ms > 5000) {
    return absl::InvalidArgumentError(
        absl::StrCat("--watch-delay: expected 0 .. 5000, got ", watch_delay_ms));
  }
  return absl::OkStatus();
}

void AddClientFlags(ClientOptions& o, FlagSpec& spec) {
  spec.Group("Server")("server", Flag(&o.access.server), "HOST:PORT of sdar-serve")(
      "tls", SwitchFlag(&o.access.tls), "the server speaks TLS; implied by the files below")(
      "tls-ca", TextFlag(&o.access.tls_ca),
      "PEM file of authorities; without, those of the system")(
      "tls-cert", TextFlag(&o.access.tls_cert),
      "PEM file of the certificate to show to the server")("tls-key", TextFlag(&o.access.tls_key),
                                                           "PEM file of its key")(
      "api-key-file", TextFlag(&o.access.api_key_file),
      "file that holds the bearer token; without, the variable SDAR_API_KEY")(
      "message", ListFlag(&o.message),
      "the user's turn of a chat; words without a flag are the same; without any, a chat starts")(
      "prompt", TextFlag(&o.prompt), "text to go on from, sent without the chat template")(
      "system", TextFlag(&o.system), "the system turn of a chat")(
      "watch", SwitchFlag(&o.watch), "shows the active block after every denoising step")(
      "watch-delay", Flag(&o.watch_delay_ms), "milliseconds to rest after every step shown")(
      "json", SwitchFlag(&o.json), "prints one JSON record a sample at the end, no text")(
      "statistics", SwitchFlag(&o.statistics), "prints tokens, steps and speed to standard error")(
      "status", SwitchFlag(&o.status), "prints what the server is doing and exits")(
      "info", SwitchFlag(&o.info), "prints what the server runs and exits")(
      "timeout", Flag(&o.timeout_s), "seconds an answer may take; 0: any time");
  AddSamplingFlags(o, spec);
  AddStoppingFlags(o, spec);
}

absl::StatusOr<GenerateRequest> MakeRequest(const ClientOptions& options) {
  SDAR_RETURN_IF_ERROR(options.Validate());
  GenerateRequest request;
  SDAR_RETURN_IF_ERROR(FillSampling(options, *request.mutable_sampling()));
  SDAR_RETURN_IF_ERROR(FillStopping(options, *request.mutable_stopping()));
  if (options.logprobs) {
    request.mutable_output()->set_logprobs(static_cast<uint32_t>(*options.logprobs));
  }
  if (options.watch) request.mutable_output()->set_provisional(true);
  if (!options.drafts.empty()) {
    SDAR_ASSIGN_OR_RETURN(const int32_t drafts, ParseDrafts(options.drafts));
    request.mutable_scheduling()->set_drafts(drafts);
  }
  if (!options.system.empty()) AddTurn("system", options.system, request);
  return request;
}

void AddTurn(const std::string& role, const std::string& content, GenerateRequest& request) {
  sdar::v1::ChatMessage& message = *request.mutable_chat()->add_messages();
  message.set_role(role);
  message.set_content(content);
}

}  // namespace sdar
