// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/structure/structure_spec.h"

#include "common/json.h"
#include "common/status_macros.h"

namespace sdar::grammar {
namespace {

constexpr int kLastKind = static_cast<int>(StructureSpec::Kind::kTools);

bool HasShape(const Json& json) {
  return json.is_object() && json.value("kind", -1) >= 0 && json.value("kind", -1) <= kLastKind &&
         json.contains("text") && json["text"].is_string() && json.contains("choices") &&
         json["choices"].is_array() && json.contains("tools") && json["tools"].is_array() &&
         json.contains("flags") && json["flags"].is_number_unsigned();
}

}  // namespace

std::string StructureSpec::ToText() const {
  Json tool_list = Json::array();
  for (const ToolSpec& tool : tools) tool_list.push_back({tool.name, tool.parameters});
  const unsigned flags =
      (must_call ? 1U : 0U) | (many_calls ? 2U : 0U) | (after_thinking ? 4U : 0U);
  return DumpJson({{"kind", static_cast<int>(kind)},
                   {"text", text},
                   {"choices", choices},
                   {"tools", std::move(tool_list)},
                   {"flags", flags}});
}

absl::StatusOr<StructureSpec> StructureSpec::FromText(absl::string_view text) {
  SDAR_ASSIGN_OR_RETURN(const Json json, ParseJson(text, "structure"));
  if (!HasShape(json)) return absl::InvalidArgumentError("structure: it has another form");
  StructureSpec spec;
  spec.kind = static_cast<Kind>(json["kind"].get<int>());
  spec.text = json["text"].get<std::string>();
  for (const Json& choice : json["choices"]) {
    if (!choice.is_string()) return absl::InvalidArgumentError("structure: a choice is no text");
    spec.choices.push_back(choice.get<std::string>());
  }
  for (const Json& tool : json["tools"]) {
    if (!tool.is_array() || tool.size() != 2 || !tool[0].is_string() || !tool[1].is_string()) {
      return absl::InvalidArgumentError("structure: a tool has another form");
    }
    spec.tools.push_back({tool[0].get<std::string>(), tool[1].get<std::string>()});
  }
  const auto flags = json["flags"].get<unsigned>();
  spec.must_call = (flags & 1U) != 0;
  spec.many_calls = (flags & 2U) != 0;
  spec.after_thinking = (flags & 4U) != 0;
  return spec;
}

}  // namespace sdar::grammar
