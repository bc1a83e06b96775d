// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/grpc/request_translation.h"

#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

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

absl::StatusOr<grammar::StructureSpec> TranslateTools(const sdar::v1::Structure::Tools& tools) {
  grammar::StructureSpec spec;
  spec.kind = grammar::StructureSpec::Kind::kTools;
  spec.must_call = !tools.may_answer();
  spec.many_calls = !tools.one_call();
  for (const sdar::v1::Structure::Tool& tool : tools.tools()) {
    if (tool.name().empty()) {
      return absl::InvalidArgumentError("structure.tools: a tool has no name");
    }
    spec.tools.push_back({tool.name(), tool.parameters_json()});
  }
  if (spec.tools.empty()) return absl::InvalidArgumentError("structure.tools: there are none");
  return spec;
}

absl::StatusOr<grammar::StructureSpec> TranslateKind(const sdar::v1::Structure& structure) {
  using Kind = grammar::StructureSpec::Kind;
  using sdar::v1::Structure;
  grammar::StructureSpec spec;
  switch (structure.kind_case()) {
    case Structure::kJsonSchema:
      spec.kind = Kind::kJsonSchema;
      spec.text = structure.json_schema();
      return spec;
    case Structure::kRegex:
      spec.kind = Kind::kRegex;
      spec.text = structure.regex();
      return spec;
    case Structure::kChoice:
      spec.kind = Kind::kChoice;
      spec.choices.assign(structure.choice().texts().begin(), structure.choice().texts().end());
      if (spec.choices.empty()) return absl::InvalidArgumentError("structure.choice: it is empty");
      return spec;
    case Structure::kTools:
      return TranslateTools(structure.tools());
    case Structure::kJsonObject:
      if (structure.json_object()) return spec;
      [[fallthrough]];
    default:
      return absl::InvalidArgumentError(
          "structure: expected one of json_schema, json_object, regex, choice and tools");
  }
}

absl::StatusOr<grammar::StructureSpec> TranslateStructure(const sdar::v1::Structure* structure) {
  if (structure == nullptr) return absl::InternalError("structure: it is no Structure");
  SDAR_ASSIGN_OR_RETURN(grammar::StructureSpec spec, TranslateKind(*structure));
  spec.after_thinking = structure->after_thinking();
  return spec;
}

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Reads one field of a message into a member of RequestFields, by the member's type.
class FieldReader {
 public:
  FieldReader(const Message& message, const FieldDescriptor& field)
      : message_(message), field_(field), reflection_(*message.GetReflection()) {}

  template <typename T>
  absl::Status Read(std::optional<T>& out) const {
    if (reflection_.HasField(message_, &field_)) out = Number<T>();
    return absl::OkStatus();
  }
  absl::Status Read(std::optional<DraftCount>& out) const {
    if (reflection_.HasField(message_, &field_)) out = DraftCount{Number<int64_t>()};
    return absl::OkStatus();
  }
  // An enum's values are those of RemaskingStrategy in capitals; the first one says nothing.
  absl::Status Read(std::optional<RemaskingStrategy>& out) const {
    const int number = reflection_.GetEnumValue(message_, &field_);
    if (number == 0) return absl::OkStatus();
    const auto* value = field_.enum_type()->FindValueByNumber(number);
    if (value == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(field_.name(), ": unknown value ", number));
    }
    SDAR_ASSIGN_OR_RETURN(out, ParseRemaskingStrategy(absl::AsciiStrToLower(value->name())));
    return absl::OkStatus();
  }
  absl::Status Read(std::optional<grammar::StructureSpec>& out) const {
    if (!reflection_.HasField(message_, &field_)) return absl::OkStatus();
    const Message& structure = reflection_.GetMessage(message_, &field_);
    SDAR_ASSIGN_OR_RETURN(
        out, TranslateStructure(
                 google::protobuf::DynamicCastToGenerated<sdar::v1::Structure>(&structure)));
    return absl::OkStatus();
  }
  absl::Status Read(std::vector<std::string>& out) const {
    for (int i = 0; i < size(); ++i) {
      out.push_back(reflection_.GetRepeatedString(message_, &field_, i));
    }
    return absl::OkStatus();
  }
  absl::Status Read(std::vector<TokenId>& out) const {
    for (int i = 0; i < size(); ++i) {
      const uint32_t id = reflection_.GetRepeatedUInt32(message_, &field_, i);
      SDAR_ASSIGN_OR_RETURN(out.emplace_back(), ToTokenId(field_.name(), id));
    }
    return absl::OkStatus();
  }
  // A map<uint32, float>.
  absl::Status Read(std::vector<std::pair<TokenId, float>>& out) const {
    for (int i = 0; i < size(); ++i) {
      const Message& entry = reflection_.GetRepeatedMessage(message_, &field_, i);
      const auto* key = entry.GetDescriptor()->map_key();
      const auto* value = entry.GetDescriptor()->map_value();
      SDAR_ASSIGN_OR_RETURN(const TokenId id,
                            ToTokenId(field_.name(), entry.GetReflection()->GetUInt32(entry, key)));
      out.emplace_back(id, entry.GetReflection()->GetFloat(entry, value));
    }
    return absl::OkStatus();
  }

 private:
  int size() const { return reflection_.FieldSize(message_, &field_); }

  template <typename T>
  T Number() const {
    switch (field_.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        return static_cast<T>(reflection_.GetBool(message_, &field_));
      case FieldDescriptor::CPPTYPE_INT32:
        return static_cast<T>(reflection_.GetInt32(message_, &field_));
      case FieldDescriptor::CPPTYPE_UINT32:
        return static_cast<T>(reflection_.GetUInt32(message_, &field_));
      case FieldDescriptor::CPPTYPE_UINT64:
        return static_cast<T>(reflection_.GetUInt64(message_, &field_));
      default:
        return static_cast<T>(reflection_.GetFloat(message_, &field_));
    }
  }

  const Message& message_;
  const FieldDescriptor& field_;
  const Reflection& reflection_;
};

// Reads the field of this name, which one of the groups has.
template <typename T>
absl::Status ReadField(absl::Span<const Message* const> groups, const char* name, T& out) {
  for (const Message* group : groups) {
    const FieldDescriptor* field = group->GetDescriptor()->FindFieldByName(name);
    if (field != nullptr) return FieldReader(*group, *field).Read(out);
  }
  return absl::InternalError(absl::StrCat(name, ": it is missing in generation.proto"));
}

// Reads the fields that VisitFields lists.
template <typename Fields>
absl::StatusOr<Fields> ReadFields(absl::Span<const Message* const> groups) {
  Fields fields;
  absl::Status status;
  VisitFields(fields, [&](const char* name, auto& member) {
    status.Update(ReadField(groups, name, member));
  });
  if (!status.ok()) return status;
  return fields;
}

}  // namespace

absl::StatusOr<RequestFields> TranslateFields(const sdar::v1::GenerateRequest& request) {
  return ReadFields<RequestFields>(
      {&request.sampling(), &request.stopping(), &request.output(), &request.scheduling()});
}

absl::StatusOr<ScoreFields> TranslateFields(const sdar::v1::ScoreRequest& request) {
  return ReadFields<ScoreFields>({&request, &request.scheduling()});
}

absl::StatusOr<SteadyTime> TranslateDeadline(const sdar::v1::SchedulingParameters& scheduling,
                                             SteadyTime call_deadline, SteadyTime now) {
  if (!scheduling.has_timeout_seconds()) return call_deadline;
  const double timeout = scheduling.timeout_seconds();
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
  request.template_name = chat.chat_template();
  return request;
}

namespace {

absl::StatusOr<std::vector<TokenId>> TranslateIds(absl::string_view field,
                                                  const sdar::v1::TokenIds& message) {
  std::vector<TokenId> ids;
  for (uint32_t id : message.ids()) {
    SDAR_ASSIGN_OR_RETURN(ids.emplace_back(), ToTokenId(field, id));
  }
  return ids;
}

absl::StatusOr<std::vector<TokenId>> EncodeChat(const sdar::v1::Chat& chat, const TextCodec& text) {
  SDAR_ASSIGN_OR_RETURN(const ChatRequest request, TranslateChat(chat));
  return text.EncodeChat(request);
}

}  // namespace

absl::StatusOr<std::vector<TokenId>> TranslatePrompt(const sdar::v1::GenerateRequest& request,
                                                     const TextCodec& text) {
  using sdar::v1::GenerateRequest;
  switch (request.input_case()) {
    case GenerateRequest::kPrompt:
      return text.EncodePrompt(request.prompt());
    case GenerateRequest::kPromptIds:
      return TranslateIds("prompt_ids", request.prompt_ids());
    case GenerateRequest::kChat:
      return EncodeChat(request.chat(), text);
    default:
      return absl::InvalidArgumentError("expected one of prompt, prompt_ids and chat");
  }
}

absl::StatusOr<std::vector<TokenId>> TranslatePrompt(const sdar::v1::ScoreRequest& request,
                                                     const TextCodec& text) {
  using sdar::v1::ScoreRequest;
  switch (request.input_case()) {
    case ScoreRequest::kPrompt:
      return text.EncodePrompt(request.prompt());
    case ScoreRequest::kPromptIds:
      return TranslateIds("prompt_ids", request.prompt_ids());
    case ScoreRequest::kChat:
      return EncodeChat(request.chat(), text);
    default:
      return std::vector<TokenId>();
  }
}

absl::StatusOr<std::vector<TokenId>> TranslateContinuation(const sdar::v1::ScoreRequest& request,
                                                           const TextCodec& text) {
  using sdar::v1::ScoreRequest;
  switch (request.continuation_case()) {
    case ScoreRequest::kText: {
      auto ids = text.EncodePrompt(request.text());
      if (ids.ok()) return ids;
      return absl::Status(ids.status().code(), absl::StrCat("text, as a ", ids.status().message()));
    }
    case ScoreRequest::kIds:
      return TranslateIds("ids", request.ids());
    default:
      return absl::InvalidArgumentError("continuation: expected one of text and ids");
  }
}

}  // namespace sdar
