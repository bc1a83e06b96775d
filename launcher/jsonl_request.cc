// SPDX-License-Identifier: Apache-2.0
#include "launcher/jsonl_request.h"

#include <functional>
#include <limits>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

absl::Status Mistyped(absl::string_view expected, const Json& value) {
  return absl::InvalidArgumentError(
      absl::StrCat("expected ", expected, ", got ", DumpJson(value).substr(0, 80)));
}

absl::Status Read(const Json& value, double& out) {
  if (!value.is_number()) return Mistyped("a number", value);
  out = value.get<double>();
  return absl::OkStatus();
}

absl::Status Read(const Json& value, bool& out) {
  if (!value.is_boolean()) return Mistyped("true or false", value);
  out = value.get<bool>();
  return absl::OkStatus();
}

absl::Status Read(const Json& value, int64_t& out) {
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > kMax)) {
    return Mistyped("an integer", value);
  }
  out = value.get<int64_t>();
  return absl::OkStatus();
}

absl::Status Read(const Json& value, uint64_t& out) {
  if (!value.is_number_unsigned()) return Mistyped("an integer of at least 0", value);
  out = value.get<uint64_t>();
  return absl::OkStatus();
}

absl::Status Read(const Json& value, TokenId& out) {
  int64_t wide = 0;
  if (!Read(value, wide).ok() || wide < 0 || wide > std::numeric_limits<TokenId>::max()) {
    return Mistyped("a token id", value);
  }
  out = static_cast<TokenId>(wide);
  return absl::OkStatus();
}

absl::Status Read(const Json& value, std::string& out) {
  if (!value.is_string()) return Mistyped("a string", value);
  out = value.get<std::string>();
  return absl::OkStatus();
}

absl::Status Read(const Json& value, RemaskingStrategy& out) {
  std::string name;
  SDAR_RETURN_IF_ERROR(Read(value, name));
  SDAR_ASSIGN_OR_RETURN(out, ParseRemaskingStrategy(name));
  return absl::OkStatus();
}

template <typename T>
absl::Status Read(const Json& value, std::vector<T>& out) {
  if (!value.is_array()) return Mistyped("a list", value);
  for (const Json& element : value) {
    SDAR_RETURN_IF_ERROR(Read(element, out.emplace_back()));
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status Read(const Json& value, std::optional<T>& out) {
  return Read(value, out.emplace());
}

// {"TOKEN ID": BIAS}
absl::Status ReadBias(const Json& value, std::vector<std::pair<TokenId, float>>& out) {
  if (!value.is_object()) return Mistyped("an object from token ids to numbers", value);
  for (const auto& [key, bias] : value.items()) {
    TokenId id = 0;
    double number = 0;
    if (!absl::SimpleAtoi(key, &id)) return Mistyped("token ids as keys", Json(key));
    SDAR_RETURN_IF_ERROR(Read(bias, number));
    out.emplace_back(id, static_cast<float>(number));
  }
  return absl::OkStatus();
}

// A string or a list of strings.
absl::Status ReadStop(const Json& value, std::vector<std::string>& out) {
  if (value.is_string()) return Read(value, out.emplace_back());
  return Read(value, out);
}

using Reader = std::function<absl::Status(const Json&)>;

// The sampling fields by their names.
absl::flat_hash_map<std::string, Reader> FieldReaders(RequestFields& f) {
  const auto into = [](auto& target) {
    return Reader([&target](const Json& value) { return Read(value, target); });
  };
  return {
      {"temperature", into(f.temperature)},
      {"top_k", into(f.top_k)},
      {"top_p", into(f.top_p)},
      {"min_p", into(f.min_p)},
      {"repetition_penalty", into(f.repetition_penalty)},
      {"presence_penalty", into(f.presence_penalty)},
      {"frequency_penalty", into(f.frequency_penalty)},
      {"logit_bias", [&f](const Json& value) { return ReadBias(value, f.logit_bias); }},
      {"seed", into(f.seed)},
      {"n", into(f.n)},
      {"block_length", into(f.block_length)},
      {"denoising_steps", into(f.denoising_steps)},
      {"remasking_strategy", into(f.remasking_strategy)},
      {"confidence_threshold", into(f.confidence_threshold)},
      {"entropy_bound", into(f.entropy_bound)},
      {"max_tokens", into(f.max_tokens)},
      {"min_tokens", into(f.min_tokens)},
      {"stop", [&f](const Json& value) { return ReadStop(value, f.stop); }},
      {"stop_token_ids", into(f.stop_token_ids)},
      {"ignore_eos", into(f.ignore_eos)},
      {"skip_special_tokens", into(f.skip_special_tokens)},
      {"logprobs", into(f.logprobs)},
  };
}

bool IsInputField(const std::string& key) {
  return key == "id" || key == "prompt" || key == "prompt_ids" || key == "messages" ||
         key == "tools" || key == "enable_thinking" || key == "add_generation_prompt";
}

absl::StatusOr<std::vector<TokenId>> ReadChat(const Json& record, const TextCodec& text) {
  ChatRequest chat;
  chat.messages = record["messages"];
  if (record.contains("tools")) chat.tools = record["tools"];
  if (record.contains("enable_thinking")) {
    chat.variables["enable_thinking"] = record["enable_thinking"];
  }
  if (record.contains("add_generation_prompt")) {
    SDAR_RETURN_IF_ERROR(Read(record["add_generation_prompt"], chat.add_generation_prompt));
  }
  return text.EncodeChat(chat);
}

absl::StatusOr<std::vector<TokenId>> ReadPrompt(const Json& record, const TextCodec& text) {
  const bool chat = record.contains("messages");
  const int given = static_cast<int>(record.contains("prompt")) +
                    static_cast<int>(record.contains("prompt_ids")) + static_cast<int>(chat);
  if (given != 1) {
    return absl::InvalidArgumentError("expected exactly one of prompt, prompt_ids and messages");
  }
  for (const char* key : {"tools", "enable_thinking", "add_generation_prompt"}) {
    if (!chat && record.contains(key)) {
      return absl::InvalidArgumentError(absl::StrCat(key, ": only with messages"));
    }
  }
  if (chat) return ReadChat(record, text);
  if (record.contains("prompt")) {
    std::string prompt;
    SDAR_RETURN_IF_ERROR(Read(record["prompt"], prompt));
    return text.tokenizer().Encode(prompt);
  }
  std::vector<TokenId> ids;
  SDAR_RETURN_IF_ERROR(Read(record["prompt_ids"], ids));
  return ids;
}

}  // namespace

absl::StatusOr<JsonlRequest> ParseJsonlRequest(absl::string_view line, int line_number,
                                               const TextCodec& text, Json& id) {
  id = line_number;
  SDAR_ASSIGN_OR_RETURN(const Json record, ParseJson(line, "the line"));
  if (!record.is_object()) return Mistyped("an object", record);
  if (record.contains("id")) id = record["id"];
  JsonlRequest request;
  request.id = id;
  const auto readers = FieldReaders(request.fields);
  for (const auto& [key, value] : record.items()) {
    if (IsInputField(key)) continue;
    const auto reader = readers.find(key);
    if (reader == readers.end()) {
      return absl::InvalidArgumentError(absl::StrCat("unknown field '", key, "'"));
    }
    if (value.is_null()) continue;
    if (const absl::Status status = reader->second(value); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(key, ": ", status.message()));
    }
  }
  SDAR_ASSIGN_OR_RETURN(request.prompt, ReadPrompt(record, text));
  return request;
}

}  // namespace sdar
