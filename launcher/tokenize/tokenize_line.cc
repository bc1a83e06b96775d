// SPDX-License-Identifier: Apache-2.0
#include "launcher/tokenize/tokenize_line.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

absl::Status CheckKeys(const Json& request, std::initializer_list<absl::string_view> known) {
  for (const auto& [key, value] : request.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return absl::InvalidArgumentError(absl::StrCat("unknown key '", key, "'"));
    }
  }
  return absl::OkStatus();
}

// A result begins with the request's id, where it has one.
Json ResultFor(const Json& request) {
  Json result = Json::object();
  if (request.contains("id")) result["id"] = request["id"];
  return result;
}

}  // namespace

absl::StatusOr<LineTokenizer> LineTokenizer::Load(const std::string& folder) {
  SDAR_ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Load(folder));
  return LineTokenizer(std::move(tokenizer), LoadChatTemplate(folder));
}

absl::StatusOr<Json> LineTokenizer::Answer(absl::string_view line, Json& request) const {
  SDAR_ASSIGN_OR_RETURN(request, ParseJson(line, "request", 64, true));
  if (!request.is_object()) return absl::InvalidArgumentError("expected a JSON object");
  if (request.contains("text")) return AnswerText(request);
  if (request.contains("messages")) return AnswerMessages(request);
  if (request.contains("ids")) return AnswerIds(request);
  return absl::InvalidArgumentError("expected a key 'text', 'messages' or 'ids'");
}

absl::StatusOr<Json> LineTokenizer::AnswerText(const Json& request) const {
  SDAR_RETURN_IF_ERROR(CheckKeys(request, {"id", "text"}));
  if (!request["text"].is_string()) return absl::InvalidArgumentError("text is not a string");
  SDAR_ASSIGN_OR_RETURN(const std::vector<TokenId> ids,
                        tokenizer_.Encode(request["text"].get_ref<const std::string&>()));
  Json result = ResultFor(request);
  result["ids"] = ids;
  AddDecoded(ids, result);
  return result;
}

absl::StatusOr<Json> LineTokenizer::AnswerMessages(const Json& request) const {
  SDAR_RETURN_IF_ERROR(CheckKeys(request, {"id", "messages", "tools", "enable_thinking",
                                           "add_generation_prompt", "chat_template"}));
  SDAR_RETURN_IF_ERROR(chat_template_.status());
  ChatRequest chat;
  chat.messages = request["messages"];
  if (request.contains("tools")) chat.tools = request["tools"];
  for (const char* key : {"enable_thinking", "add_generation_prompt"}) {
    if (request.contains(key) && !request[key].is_boolean()) {
      return absl::InvalidArgumentError(absl::StrCat(key, " is neither true nor false"));
    }
  }
  if (request.contains("enable_thinking")) {
    chat.variables["enable_thinking"] = request["enable_thinking"];
  }
  if (request.contains("add_generation_prompt")) {
    chat.add_generation_prompt = request["add_generation_prompt"].get<bool>();
  }
  if (request.contains("chat_template")) {
    if (!request["chat_template"].is_string()) {
      return absl::InvalidArgumentError("chat_template is not the name of a template");
    }
    chat.template_name = request["chat_template"].get<std::string>();
  }
  SDAR_ASSIGN_OR_RETURN(const std::string prompt, chat_template_->Render(chat));
  SDAR_ASSIGN_OR_RETURN(const std::vector<TokenId> ids, tokenizer_.Encode(prompt));
  Json result = ResultFor(request);
  result["prompt"] = prompt;
  result["ids"] = ids;
  return result;
}

absl::StatusOr<Json> LineTokenizer::AnswerIds(const Json& request) const {
  SDAR_RETURN_IF_ERROR(CheckKeys(request, {"id", "ids"}));
  if (!request["ids"].is_array()) return absl::InvalidArgumentError("ids is not a list");
  std::vector<TokenId> ids;
  for (const Json& value : request["ids"]) {
    if (!value.is_number_unsigned() ||
        value.get<uint64_t>() >= std::numeric_limits<TokenId>::max() ||
        !tokenizer_.HasToken(value.get<TokenId>())) {
      return absl::InvalidArgumentError(
          absl::StrCat("ids[", ids.size(), "] is ", DumpJson(value),
                       ", which the tokenizer has no token for (its ids are below ",
                       tokenizer_.vocab_limit(), ")"));
    }
    ids.push_back(value.get<TokenId>());
  }
  Json result = ResultFor(request);
  AddDecoded(ids, result);
  return result;
}

void LineTokenizer::AddDecoded(const std::vector<TokenId>& ids, Json& result) const {
  result["decoded"] = tokenizer_.Decode(ids, false);
  result["decoded_skip_special"] = tokenizer_.Decode(ids, true);
}

}  // namespace sdar
