// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/chat_template.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "common/shorten.h"
#include "common/status_macros.h"
#include "runtime/text/jinja/syntax/parser.h"

namespace sdar {
namespace {

constexpr size_t kMaxTemplateBytes = size_t{1} << 20;
// Names that transformers gives a meaning.
constexpr char kDefault[] = "default";
constexpr char kToolUse[] = "tool_use";
constexpr size_t kUnitsPerVariable = 64;  // of work

absl::Status Invalid(const std::string& message) { return absl::InvalidArgumentError(message); }

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

absl::StatusOr<ChatTemplate::Body> ChatTemplate::ParseBody(const std::string& name,
                                                           absl::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    return Invalid(absl::StrCat("chat template: expected at most ", kMaxTemplateBytes,
                                " bytes, got ", source.size()));
  }
  absl::StatusOr<JinjaBody> body = ParseJinja(source);
  if (!body.ok()) return Invalid(absl::StrCat("chat template: ", body.status().message()));
  return Body{name, TemplateTraits(source), std::make_shared<const JinjaBody>(*std::move(body))};
}

absl::StatusOr<ChatTemplate> ChatTemplate::Parse(absl::string_view source,
                                                 const Json& special_tokens) {
  return ParseNamed({{kDefault, std::string(source)}}, special_tokens);
}

absl::StatusOr<ChatTemplate> ChatTemplate::ParseNamed(const NamedSources& sources,
                                                      const Json& special_tokens) {
  if (sources.empty()) return Invalid("chat_template: the list is empty");
  ChatTemplate chat_template;
  for (const auto& [name, source] : sources) {
    SDAR_ASSIGN_OR_RETURN(Body body, ParseBody(name, source));
    const auto same = std::find_if(chat_template.bodies_.begin(), chat_template.bodies_.end(),
                                   [&](const Body& other) { return other.name == body.name; });
    if (same != chat_template.bodies_.end()) chat_template.bodies_.erase(same);
    chat_template.bodies_.push_back(std::move(body));
  }
  chat_template.special_tokens_ = special_tokens;
  return chat_template;
}

const ChatTemplate::Body* ChatTemplate::Find(absl::string_view name) const {
  const auto found = std::find_if(bodies_.begin(), bodies_.end(),
                                  [&](const Body& body) { return body.name == name; });
  return found == bodies_.end() ? nullptr : &*found;
}

absl::StatusOr<const ChatTemplate::Body*> ChatTemplate::Choose(const ChatRequest& request) const {
  const Body* body = nullptr;
  if (!request.template_name.empty()) {
    body = Find(request.template_name);
  } else {
    if (!request.tools.is_null()) body = Find(kToolUse);
    if (body == nullptr) body = Find(kDefault);
  }
  if (body != nullptr) return body;
  const std::string names = absl::StrJoin(
      bodies_, ", ", [](std::string* out, const Body& it) { absl::StrAppend(out, it.name); });
  if (request.template_name.empty()) {
    return Invalid(
        absl::StrCat("chat_template: expected one of ", names, ": the model names no default"));
  }
  return Invalid(absl::StrCat("chat_template: expected one of ", names, ", got '",
                              Shorten(request.template_name),
                              "' (requests name a template of the model, they bring none)"));
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
  SDAR_ASSIGN_OR_RETURN(const Body* body, Choose(request));
  SDAR_ASSIGN_OR_RETURN(const Json messages, ReadMessages(request.messages, body->traits));
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
  absl::StatusOr<std::string> prompt = RenderJinja(*body->parsed, variables, budget);
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
  const absl::Status malformed = Invalid(
      absl::StrCat(folder,
                   "/tokenizer_config.json: chat_template is neither a string nor a list of "
                   "objects with the strings 'name' and 'template'"));
  if (!value.is_array()) return malformed;
  ChatTemplate::NamedSources sources;
  for (const Json& entry : value) {
    if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string() ||
        !entry.contains("template") || !entry["template"].is_string()) {
      return malformed;
    }
    sources.emplace_back(entry["name"].get<std::string>(), entry["template"].get<std::string>());
  }
  return ChatTemplate::ParseNamed(sources, special_tokens);
}

// The templates that are files of their own, in the order of their names.
absl::StatusOr<ChatTemplate::NamedSources> ReadTemplateFiles(const std::filesystem::path& root) {
  std::vector<std::pair<std::string, std::filesystem::path>> files;
  std::error_code error;
  if (std::filesystem::exists(root / "chat_template.jinja", error)) {
    files.emplace_back(kDefault, root / "chat_template.jinja");
  }
  const size_t first_named = files.size();
  for (std::filesystem::directory_iterator entry(root / "additional_chat_templates", error), end;
       !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() != ".jinja") continue;
    files.emplace_back(entry->path().stem().string(), entry->path());
  }
  std::sort(files.begin() + static_cast<std::ptrdiff_t>(first_named), files.end());
  ChatTemplate::NamedSources sources;
  for (const auto& [name, path] : files) {
    SDAR_ASSIGN_OR_RETURN(std::string source, ReadFile(path.string(), kMaxTemplateBytes));
    sources.emplace_back(name, std::move(source));
  }
  return sources;
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
  SDAR_ASSIGN_OR_RETURN(const ChatTemplate::NamedSources sources, ReadTemplateFiles(root));
  if (sources.empty()) return FromConfig(config, folder);
  return ChatTemplate::ParseNamed(sources, SpecialTokens(config));
}

}  // namespace sdar
