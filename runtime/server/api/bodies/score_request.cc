// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/bodies/score_request.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "common/json_fields.h"
#include "common/status_macros.h"
#include "runtime/server/api/bodies/body_fields.h"
#include "runtime/server/api/bodies/openai_request.h"

namespace sdar {
namespace {

// A text, tokenized by itself, or token ids; nothing where the field is absent.
absl::StatusOr<std::vector<TokenId>> TakeTextOrIds(Json& body, const char* field,
                                                   const TextCodec& text) {
  const Json value = TakeField(body, field);
  std::vector<TokenId> ids;
  if (value.is_null()) return ids;
  if (value.is_string()) return text.EncodePrompt(value.get_ref<const std::string&>());
  if (ReadValue(value, ids).ok()) return ids;
  return InField(field, Mistyped("a text or a list of token ids", value));
}

absl::StatusOr<std::vector<TokenId>> TakePrompt(Json& body, const TextCodec& text) {
  if (!body.contains("messages")) return TakeTextOrIds(body, "prompt", text);
  SDAR_ASSIGN_OR_RETURN(const ApiChat chat, TakeChat(body));
  return text.EncodeChat(chat.request);
}

absl::StatusOr<std::vector<TokenId>> TakeContinuation(Json& body, const TextCodec& text) {
  SDAR_ASSIGN_OR_RETURN(std::vector<TokenId> of_text, TakeTextOrIds(body, "text", text));
  SDAR_ASSIGN_OR_RETURN(std::vector<TokenId> ids, TakeTextOrIds(body, "ids", text));
  if (of_text.empty() == ids.empty()) {
    return absl::InvalidArgumentError("text: expected it or ids, and at least one token");
  }
  return ids.empty() ? of_text : ids;
}

}  // namespace

absl::StatusOr<ApiCall> ParseScore(Json body, absl::Span<const std::string> models,
                                   const TextCodec& text) {
  ApiCall out;
  SDAR_RETURN_IF_ERROR(TakeCommonFields(body, models, out));
  if (out.stream) return absl::InvalidArgumentError("stream: scores come whole");
  SDAR_ASSIGN_OR_RETURN(out.prompts.emplace_back(), TakePrompt(body, text));
  SDAR_ASSIGN_OR_RETURN(out.call.targets, TakeContinuation(body, text));
  out.generates = false;
  SDAR_RETURN_IF_ERROR(
      ReadRest(body, RequestFieldReaders(out.call.score_fields), out.unknown_fields));
  return out;
}

}  // namespace sdar
