// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/chat_template.h"

#include <filesystem>
#include <functional>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/shorten.h"
#include "common/status_macros.h"
#include "runtime/text/jinja/syntax/parser.h"

namespace sdar {
namespace {

constexpr size_t kMaxTemplateBytes = size_t{1} << 20;
constexpr size_t kUnitsPerVariable = 64;  // of work

absl::Status Invalid(const std::string& message) { return absl::InvalidArgumentError(message); }

absl::StatusOr<std::shared_ptr<const JinjaBody>> ParseBody(absl::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    return Invalid(absl::StrCat("chat template: expected at most ", kMaxTemplateBytes,
                                " bytes, got ", source.size()));
  }
  absl::StatusOr<JinjaBody> body = ParseJinja(source);
  if (!body.ok()) return Invalid(absl::StrCat("chat template: ", body.status().message()));
  return std::make_shared<const JinjaBody>(*std::move(body));
}

// The texts of content parts, joined.
absl::StatusOr<std::string> JoinParts(const Json& parts, const std::string& where) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Json& part = parts[i];
    const bool typed = part.is_object() && part.contains("type") && part["type"].is_string();
    if (!typed) return Invalid(absl::StrCat(where, "[", i, "] is not an object with a type"));
    if (part["type"] != "text") {
      return Invalid(absl::StrCat(where, "[", i, "] has the type '",
                                  Shorten(part["type"].get_ref<const std::string&>()),
                                  "'; only text is supported"));
    }
    if (!part.contains("text") || !part["text"].is_string()) {
      return Invalid(absl::StrCat(where, "[", i, "] has no text"));
    }
    absl::StrAppend(&text, i == 0 ? "" : "\n", part["text"].get_ref<const std::string&>());
  }
  return text;
}

absl::Status CheckMessage(const Json& message, size_t index) {
  const std::string where = absl::StrCat("messages[", index, "]");
  if (!message.is_object()) return Invalid(absl::StrCat(where, " is not an object"));
  if (!message.contains("role") || !message["role"].is_string()) {
    return Invalid(absl::StrCat(where, " has no role, or one that is not a string"));
  }
  if (!message.contains("content")) return absl::OkStatus();
  const Json& content = message["content"];
  if (content.is_null() || content.is_string() || content.is_array()) return absl::OkStatus();
  return Invalid(absl::StrCat(where, ".content is neither a string, null nor a list of parts"));
}

// The messages as the template sees them.
absl::StatusOr<Json> ReadMessages(const Json& messages) {
  if (!messages.is_array()) return Invalid("messages is not a list");
  if (messages.empty()) return Invalid("messages is empty");
  Json out = messages;
  for (size_t i = 0; i < out.size(); ++i) {
    SDAR_RETURN_IF_ERROR(CheckMessage(out[i], i));
    if (!out[i].contains("content") || !out[i]["content"].is_array()) continue;
    SDAR_ASSIGN_OR_RETURN(std::string text,
                          JoinParts(out[i]["content"], absl::StrCat("messages[", i, "].content")));
    out[i]["content"] = std::move(text);
  }
  return out;
}

absl::Status AddVariable(const std::string& name, const Json& value, JinjaBudget& budget,
                         JinjaVariables& out) {
  SDAR_RETURN_IF_ERROR(budget.Charge(kUnitsPerVariable + 2 * name.size()));
  if (out.contains(name)) {
    return Invalid(absl::StrCat("the variable '", Shorten(name), "' is given twice"));
  }
  absl::StatusOr<JinjaValue> converted = FromJson(value, budget);
  if (!converted.ok()) {
    return absl::Status(converted.status().code(),
                        absl::StrCat(Shorten(name), ": ", converted.status().message()));
  }
  out.emplace(name, *std::move(converted));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ChatTemplate> ChatTemplate::Parse(absl::string_view source,
                                                 const Json& special_tokens) {
  ChatTemplate chat_template;
  SDAR_ASSIGN_OR_RETURN(chat_template.body_, ParseBody(source));
  chat_template.special_tokens_ = special_tokens;
  return chat_template;
}

absl::StatusOr<ChatTemplate> ChatTemplate::ParseWithTools(absl::string_view source,
                                                          absl::string_view tool_source,
                                                          const Json& special_tokens) {
  SDAR_ASSIGN_OR_RETURN(ChatTemplate chat_template, Parse(source, special_tokens));
  SDAR_ASSIGN_OR_RETURN(chat_template.tool_body_, ParseBody(tool_source));
  return chat_template;
}

absl::StatusOr<std::string> ChatTemplate::Render(const ChatRequest& request,
                                                 const JinjaLimits& limits) const {
  JinjaBudget budget(limits);
  return Render(request, budget);
}

absl::StatusOr<std::string> ChatTemplate::Render(const ChatRequest& request,
                                                 JinjaBudget& budget) const {
  if (request.variables.size() > kMaxChatVariables) {
    return Invalid(absl::StrCat("variables: expected at most ", kMaxChatVariables, " names, got ",
                                request.variables.size()));
  }
  SDAR_ASSIGN_OR_RETURN(const Json messages, ReadMessages(request.messages));
  if (!request.tools.is_null() && !request.tools.is_array()) return Invalid("tools is not a list");
  JinjaVariables variables;
  SDAR_RETURN_IF_ERROR(AddVariable("messages", messages, budget, variables));
  SDAR_RETURN_IF_ERROR(AddVariable("tools", request.tools, budget, variables));
  SDAR_RETURN_IF_ERROR(AddVariable("documents", nullptr, budget, variables));
  SDAR_RETURN_IF_ERROR(
      AddVariable("add_generation_prompt", request.add_generation_prompt, budget, variables));
  for (const Json& source : {std::cref(special_tokens_), std::cref(request.variables)}) {
    for (const auto& [name, value] : source.items()) {
      SDAR_RETURN_IF_ERROR(AddVariable(name, value, budget, variables));
    }
  }
  const bool with_tools = tool_body_ != nullptr && !request.tools.is_null();
  const JinjaBody& body = with_tools ? *tool_body_ : *body_;
  absl::StatusOr<std::string> prompt = RenderJinja(body, variables, budget);
  if (prompt.ok() || prompt.status().message().substr(0, 5) != "line ") return prompt;
  return absl::Status(prompt.status().code(),
                      absl::StrCat("chat template: ", prompt.status().message()));
}

namespace {

// The variables that Hugging Face passes for the special tokens which tokenizer_config.json names.
Json SpecialTokens(const Json& config) {
  Json tokens = Json::object();
  for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                          "cls_token", "mask_token", "additional_special_tokens"}) {
    if (!config.contains(key)) continue;
    const Json& value = config[key];
    if (value.is_string() || value.is_array()) tokens[key] = value;
    if (value.is_object() && value.contains("content")) tokens[key] = value["content"];
  }
  return tokens;
}

// The template named `name` in a list of {"name", "template"}.
std::optional<std::string> NamedTemplate(const Json& list, const std::string& name) {
  for (const Json& entry : list) {
    if (entry.is_object() && entry.contains("name") && entry["name"] == name &&
        entry.contains("template") && entry["template"].is_string()) {
      return entry["template"].get<std::string>();
    }
  }
  return std::nullopt;
}

absl::StatusOr<ChatTemplate> FromConfig(const Json& config, const std::string& folder) {
  if (!config.contains("chat_template") || config["chat_template"].is_null()) {
    return absl::NotFoundError(
        absl::StrCat(folder,
                     ": the model has no chat template (no chat_template.jinja, and none in "
                     "tokenizer_config.json); \"prompt\" or \"prompt_ids\" can be used"));
  }
  const Json& value = config["chat_template"];
  const Json special_tokens = SpecialTokens(config);
  if (value.is_string()) {
    return ChatTemplate::Parse(value.get_ref<const std::string&>(), special_tokens);
  }
  const auto source = NamedTemplate(value, "default");
  if (!value.is_array() || !source.has_value()) {
    return Invalid(absl::StrCat(folder,
                                "/tokenizer_config.json: chat_template is neither a string "
                                "nor a list with a template named 'default'"));
  }
  const auto tool_source = NamedTemplate(value, "tool_use");
  if (!tool_source.has_value()) return ChatTemplate::Parse(*source, special_tokens);
  return ChatTemplate::ParseWithTools(*source, *tool_source, special_tokens);
}

}  // namespace

absl::StatusOr<ChatTemplate> LoadChatTemplate(const std::string& folder) {
  const std::filesystem::path root(folder);
  std::error_code error;
  Json config = Json::object();
  if (std::filesystem::exists(root / "tokenizer_config.json", error)) {
    SDAR_ASSIGN_OR_RETURN(config, ReadJsonFile((root / "tokenizer_config.json").string()));
    if (!config.is_object()) {
      return Invalid(absl::StrCat(folder, "/tokenizer_config.json: expected an object"));
    }
  }
  if (!std::filesystem::exists(root / "chat_template.jinja", error)) {
    return FromConfig(config, folder);
  }
  SDAR_ASSIGN_OR_RETURN(const std::string source,
                        ReadFile((root / "chat_template.jinja").string(), kMaxTemplateBytes));
  return ChatTemplate::Parse(source, SpecialTokens(config));
}

}  // namespace sdar
