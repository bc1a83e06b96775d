// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/bodies/tool_choice.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "common/json_fields.h"
#include "common/shorten.h"
#include "common/status_macros.h"
#include "runtime/server/api/bodies/body_fields.h"

namespace sdar {
namespace {

using grammar::StructureSpec;
using grammar::ToolSpec;

// {"type": "function", "function": {"name": ..}} of chats, {"type": "function", "name": ..} of
// responses.
absl::StatusOr<std::string> NameOfChoice(const Json& choice) {
  constexpr char kExpected[] = "\"auto\", \"none\", \"required\" or a function by its name";
  if (!choice.is_object() || choice.value("type", Json()) != "function") {
    return Mistyped(kExpected, choice);
  }
  const Json function = choice.value("function", Json());
  const Json name = (function.is_object() ? function : choice).value("name", Json());
  if (!name.is_string() || name.get_ref<const std::string&>().empty()) {
    return Mistyped(kExpected, choice);
  }
  return name.get<std::string>();
}

bool AnyIsStrict(const Json& tools) {
  return std::any_of(tools.begin(), tools.end(), [](const Json& tool) {
    const Json function = tool.is_object() ? tool.value("function", Json()) : Json();
    return function.is_object() && function.value("strict", Json()) == true;
  });
}

absl::StatusOr<ToolSpec> ReadToolSpec(const Json& tool) {
  const Json function = tool.is_object() ? tool.value("function", Json()) : Json();
  const Json name = function.is_object() ? function.value("name", Json()) : Json();
  if (!name.is_string() || name.get_ref<const std::string&>().empty()) {
    return Mistyped("a function with a name", tool);
  }
  const Json parameters = function.value("parameters", Json());
  if (!parameters.is_null() && !parameters.is_object()) {
    return Mistyped("a JSON schema as parameters", parameters);
  }
  return ToolSpec{name.get<std::string>(), parameters.empty() ? "" : DumpJson(parameters)};
}

absl::StatusOr<std::vector<ToolSpec>> ReadTools(const Json& tools) {
  std::vector<ToolSpec> out;
  for (size_t i = 0; i < tools.size(); ++i) {
    auto tool = ReadToolSpec(tools[i]);
    if (!tool.ok()) return InField(absl::StrCat("tools[", i, "]"), tool.status());
    out.push_back(*std::move(tool));
  }
  return out;
}

// What an answer is that makes no call, as a JSON schema; empty: any text.
absl::StatusOr<std::string> SchemaOfText(const std::optional<StructureSpec>& structure) {
  if (!structure) return std::string();
  if (structure->kind == StructureSpec::Kind::kJsonSchema) return structure->text;
  if (structure->kind == StructureSpec::Kind::kJsonObject)
    return std::string(R"({"type":"object"})");
  return absl::InvalidArgumentError(
      "tools: beside tools that may be called, an answer can be JSON or any text, nothing else");
}

}  // namespace

absl::StatusOr<ToolChoice> TakeToolChoice(Json& body) {
  ToolChoice out;
  const Json choice = TakeField(body, "tool_choice");
  if (choice.is_null() || choice == "auto") return out;
  out.may_call = choice != "none";
  out.must_call = out.may_call;
  if (choice == "none" || choice == "required") return out;
  auto name = NameOfChoice(choice);
  if (!name.ok()) return InField("tool_choice", name.status());
  out.name = *std::move(name);
  return out;
}

absl::Status SetToolStructure(const Json& tools, const ToolChoice& choice,
                              std::optional<StructureSpec>& structure) {
  if (!choice.may_call) return absl::OkStatus();
  if (tools.empty()) {
    if (!choice.must_call) return absl::OkStatus();
    return absl::InvalidArgumentError("tool_choice: a call is asked for, and there are no tools");
  }
  // Where nothing is asked of the answer, templates alone read the tools, whatever their form.
  if (!choice.must_call && !structure && !choice.strict && !AnyIsStrict(tools))
    return absl::OkStatus();
  SDAR_ASSIGN_OR_RETURN(std::vector<ToolSpec> specs, ReadTools(tools));
  StructureSpec spec;
  spec.kind = StructureSpec::Kind::kTools;
  spec.field = "tools";
  spec.must_call = choice.must_call;
  spec.many_calls = choice.parallel_calls;
  if (!choice.must_call) {
    SDAR_ASSIGN_OR_RETURN(spec.text, SchemaOfText(structure));
  }
  for (ToolSpec& tool : specs) {
    if (choice.name.empty() || tool.name == choice.name) spec.tools.push_back(std::move(tool));
  }
  if (spec.tools.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tool_choice: there is no tool '", Shorten(choice.name), "'"));
  }
  structure = std::move(spec);
  return absl::OkStatus();
}

}  // namespace sdar
