// SPDX-License-Identifier: Apache-2.0
#include "runtime/request/structure_json.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/json_fields.h"
#include "common/shorten.h"
#include "common/status_macros.h"

namespace sdar {
namespace {

using grammar::StructureSpec;

absl::StatusOr<StructureSpec> ReadJsonObjectStructure(const Json& value) {
  if (value != true) return Mistyped("true", value);
  return StructureSpec();
}

// A way to say what an answer must be, as a member of an object.
struct Way {
  const char* name;
  absl::StatusOr<StructureSpec> (*read)(const Json&);
};
constexpr Way kOurWays[] = {{"json_schema", ReadSchemaStructure},
                            {"json_object", ReadJsonObjectStructure},
                            {"regex", ReadRegexStructure},
                            {"choice", ReadChoiceStructure}};
constexpr Way kTheirWays[] = {{"json", ReadSchemaStructure},
                              {"json_object", ReadJsonObjectStructure},
                              {"regex", ReadRegexStructure},
                              {"choice", ReadChoiceStructure}};

template <size_t N>
absl::StatusOr<StructureSpec> ReadOneWay(const Json& value, const Way (&ways)[N],
                                         absl::string_view expected) {
  if (!value.is_object()) return Mistyped(expected, value);
  const Way* found = nullptr;
  for (const auto& [name, member] : value.items()) {
    if (member.is_null() || member == false) continue;  // an option that is not used
    const Way* way = nullptr;
    for (const Way& candidate : ways) {
      if (name == candidate.name) way = &candidate;
    }
    if (way == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected ", expected, ", got a member '", Shorten(name), "'"));
    }
    if (found != nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", found->name, "' and '", name, "' exclude each other"));
    }
    found = way;
  }
  if (found == nullptr) return Mistyped(expected, value);
  return found->read(value[found->name]);
}

// The members of a named schema: what says nothing of the answer is let through.
absl::StatusOr<std::optional<StructureSpec>> ReadNamedSchema(const Json& named) {
  if (!named.is_object() || !named.contains("schema")) {
    return Mistyped("an object with a schema", named);
  }
  return ReadSchemaStructure(named["schema"]);
}

// The kinds that a format of either API may have; `named` holds the schema of json_schema.
absl::StatusOr<std::optional<StructureSpec>> ReadFormat(const Json& format, const Json& named) {
  const Json type = format.is_object() ? format.value("type", Json()) : Json();
  if (type == "text") return std::nullopt;
  if (type == "json_object") return StructureSpec();
  if (type == "json_schema") return ReadNamedSchema(named);
  return Mistyped(
      "an object with the type \"text\", \"json_object\" or \"json_schema\", nothing else is "
      "supported",
      format);
}

}  // namespace

absl::StatusOr<StructureSpec> ReadStructure(const Json& value) {
  return ReadOneWay(value, kOurWays,
                    "an object with one of json_schema, json_object, regex and choice");
}

absl::StatusOr<std::optional<StructureSpec>> ReadResponseFormat(const Json& value) {
  return ReadFormat(value, value.is_object() ? value.value("json_schema", Json()) : Json());
}

absl::StatusOr<std::optional<StructureSpec>> ReadTextFormat(const Json& value) {
  return ReadFormat(value, value);
}

absl::StatusOr<StructureSpec> ReadStructuredOutputs(const Json& value) {
  return ReadOneWay(value, kTheirWays, "an object with one of json, json_object, regex and choice");
}

absl::StatusOr<StructureSpec> ReadSchemaStructure(const Json& value) {
  StructureSpec spec;
  spec.kind = StructureSpec::Kind::kJsonSchema;
  if (value.is_object() || value.is_boolean()) {
    spec.text = DumpJson(value);
    return spec;
  }
  SDAR_RETURN_IF_ERROR(value.is_string() ? absl::OkStatus() : Mistyped("a JSON schema", value));
  spec.text = value.get<std::string>();
  return spec;
}

absl::StatusOr<StructureSpec> ReadRegexStructure(const Json& value) {
  StructureSpec spec;
  spec.kind = StructureSpec::Kind::kRegex;
  SDAR_RETURN_IF_ERROR(ReadValue(value, spec.text));
  return spec;
}

absl::StatusOr<StructureSpec> ReadChoiceStructure(const Json& value) {
  StructureSpec spec;
  spec.kind = StructureSpec::Kind::kChoice;
  SDAR_RETURN_IF_ERROR(ReadValue(value, spec.choices));
  if (spec.choices.empty()) return Mistyped("a list of texts", value);
  return spec;
}

}  // namespace sdar
