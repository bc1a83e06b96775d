// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/grpc/request_translation.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"

#include "common/json.h"
#include "common/status_macros.h"
#include "common/steady_time.h"

namespace sdar {
namespace {

constexpr uint32_t kMaxId = static_cast<uint32_t>(std::numeric_limits<TokenId>::max());

absl::StatusOr<TokenId> ToTokenId(absl::string_view field, uint32_t id) {
  if (id <= kMaxId) return static_cast<TokenId>(id);
  return absl::InvalidArgumentError(absl::StrCat(field, ": expected a token id, got ", id));
}

absl::Status TranslateStrategy(const sdar::v1::SamplingParameters& in, RequestFields& out) {
  switch (in.remasking_strategy()) {
    case sdar::v1::REMASKING_STRATEGY_UNSPECIFIED:
      return absl::OkStatus();
    case sdar::v1::SEQUENTIAL:
      out.remasking_strategy = RemaskingStrategy::kSequential;
      return absl::OkStatus();
    case sdar::v1::LOW_CONFIDENCE_STATIC:
      out.remasking_strategy = RemaskingStrategy::kLowConfidenceStatic;
      return absl::OkStatus();
    case sdar::v1::LOW_CONFIDENCE_DYNAMIC:
      out.remasking_strategy = RemaskingStrategy::kLowConfidenceDynamic;
      return absl::OkStatus();
    case sdar::v1::ENTROPY_BOUNDED:
      out.remasking_strategy = RemaskingStrategy::kEntropyBounded;
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("remasking_strategy: unknown value ", in.remasking_strategy()));
  }
}

absl::Status TranslateSampling(const sdar::v1::SamplingParameters& in, RequestFields& out) {
  if (in.has_temperature()) out.temperature = in.temperature();
  if (in.has_top_k()) out.top_k = in.top_k();
  if (in.has_top_p()) out.top_p = in.top_p();
  if (in.has_min_p()) out.min_p = in.min_p();
  if (in.has_repetition_penalty()) out.repetition_penalty = in.repetition_penalty();
  if (in.has_presence_penalty()) out.presence_penalty = in.presence_penalty();
  if (in.has_frequency_penalty()) out.frequency_penalty = in.frequency_penalty();
  for (const auto& [id, bias] : in.logit_bias()) {
    SDAR_ASSIGN_OR_RETURN(const TokenId token, ToTokenId("logit_bias", id));
    out.logit_bias.emplace_back(token, bias);
  }
  if (in.has_seed()) out.seed = in.seed();
  if (in.has_n()) out.n = in.n();
  if (in.has_block_length()) out.block_length = in.block_length();
  if (in.has_denoising_steps()) out.denoising_steps = in.denoising_steps();
  if (in.has_confidence_threshold()) out.confidence_threshold = in.confidence_threshold();
  if (in.has_entropy_bound()) out.entropy_bound = in.entropy_bound();
  return TranslateStrategy(in, out);
}

}  // namespace

absl::StatusOr<RequestFields> TranslateFields(const sdar::v1::GenerateRequest& request) {
  RequestFields fields;
  SDAR_RETURN_IF_ERROR(TranslateSampling(request.sampling(), fields));
  const sdar::v1::StoppingParameters& stopping = request.stopping();
  if (stopping.has_max_tokens()) fields.max_tokens = stopping.max_tokens();
  if (stopping.has_min_tokens()) fields.min_tokens = stopping.min_tokens();
  fields.stop.assign(stopping.stop().begin(), stopping.stop().end());
  for (uint32_t id : stopping.stop_token_ids()) {
    SDAR_ASSIGN_OR_RETURN(const TokenId token, ToTokenId("stop_token_ids", id));
    fields.stop_token_ids.push_back(token);
  }
  if (stopping.has_ignore_eos()) fields.ignore_eos = stopping.ignore_eos();
  const sdar::v1::OutputParameters& output = request.output();
  if (output.has_skip_special_tokens()) fields.skip_special_tokens = output.skip_special_tokens();
  if (output.has_logprobs()) fields.logprobs = output.logprobs();
  if (request.scheduling().has_priority()) fields.priority = request.scheduling().priority();
  if (request.scheduling().has_drafts()) fields.drafts = request.scheduling().drafts();
  return fields;
}

absl::StatusOr<SteadyTime> TranslateDeadline(const sdar::v1::GenerateRequest& request,
                                             SteadyTime call_deadline, SteadyTime now) {
  if (!request.scheduling().has_timeout_seconds()) return call_deadline;
  const double timeout = request.scheduling().timeout_seconds();
  if (!(timeout > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("timeout_seconds: expected more than 0, got ", timeout));
  }
  return std::min(call_deadline, now + absl::Seconds(timeout));
}

namespace {

// Parses one of a chat's JSON texts, which share `values_left`.
absl::StatusOr<Json> ParseChatJson(absl::string_view json, absl::string_view field,
                                   size_t& values_left) {
  constexpr int kMaxDepth = 64;
  SDAR_ASSIGN_OR_RETURN(Json value, ParseJson(json, field, kMaxDepth, false, values_left));
  values_left -= CountJsonValues(value);
  return value;
}

}  // namespace

absl::StatusOr<ChatRequest> TranslateChat(const sdar::v1::Chat& chat) {
  ChatRequest request;
  request.messages = Json::array();
  // What the texts of all messages may hold together.
  size_t values_left = kMaxJsonValues;
  for (const sdar::v1::ChatMessage& in : chat.messages()) {
    if (in.role().empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("chat.messages[", request.messages.size(), "].role: it is empty"));
    }
    Json message = {{"role", in.role()}, {"content", in.content()}};
    if (in.has_reasoning_content()) message["reasoning_content"] = in.reasoning_content();
    if (!in.tool_calls_json().empty()) {
      SDAR_ASSIGN_OR_RETURN(Json calls,
                            ParseChatJson(in.tool_calls_json(), "tool_calls_json", values_left));
      message["tool_calls"] = std::move(calls);
    }
    request.messages.push_back(std::move(message));
  }
  if (!chat.tools_json().empty()) {
    SDAR_ASSIGN_OR_RETURN(request.tools,
                          ParseChatJson(chat.tools_json(), "tools_json", values_left));
  }
  if (chat.has_enable_thinking()) request.variables["enable_thinking"] = chat.enable_thinking();
  if (chat.has_add_generation_prompt()) {
    request.add_generation_prompt = chat.add_generation_prompt();
  }
  return request;
}

absl::StatusOr<std::vector<TokenId>> TranslatePrompt(const sdar::v1::GenerateRequest& request,
                                                     const TextCodec& text) {
  switch (request.input_case()) {
    case sdar::v1::GenerateRequest::kPrompt:
      return text.EncodePrompt(request.prompt());
    case sdar::v1::GenerateRequest::kPromptIds: {
      std::vector<TokenId> ids;
      for (uint32_t id : request.prompt_ids().ids()) {
        SDAR_ASSIGN_OR_RETURN(const TokenId token, ToTokenId("prompt_ids", id));
        ids.push_back(token);
      }
      return ids;
    }
    case sdar::v1::GenerateRequest::kChat: {
      SDAR_ASSIGN_OR_RETURN(const ChatRequest chat, TranslateChat(request.chat()));
      return text.EncodeChat(chat);
    }
    default:
      return absl::InvalidArgumentError("expected one of prompt, prompt_ids and chat");
  }
}

}  // namespace sdar
