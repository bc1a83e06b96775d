// SPDX-License-Identifier: Apache-2.0
// The structure of an answer in JSON: our own field, and the ways in which other servers spell it.
// Pure; any thread. Errors are InvalidArgument and say what was expected; schemas and patterns are
// not looked into.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "common/json.h"
#include "runtime/grammar/structure/structure_spec.h"

namespace sdar {

// {"json_schema": SCHEMA} or {"json_object": true} or {"regex": TEXT} or {"choice": [TEXT, ..]}.
absl::StatusOr<grammar::StructureSpec> ReadStructure(const Json& value);

// OpenAI's response_format; absent for {"type": "text"}.
absl::StatusOr<std::optional<grammar::StructureSpec>> ReadResponseFormat(const Json& value);
// The same without the envelope that chats have: {"type": "json_schema", "name": .., "schema": ..}.
absl::StatusOr<std::optional<grammar::StructureSpec>> ReadTextFormat(const Json& value);

// vLLM's structured_outputs: {"json": SCHEMA} or one of "json_object", "regex" and "choice".
absl::StatusOr<grammar::StructureSpec> ReadStructuredOutputs(const Json& value);

// A schema as an object, a truth value, or as its text; a pattern; texts to choose from.
absl::StatusOr<grammar::StructureSpec> ReadSchemaStructure(const Json& value);
absl::StatusOr<grammar::StructureSpec> ReadRegexStructure(const Json& value);
absl::StatusOr<grammar::StructureSpec> ReadChoiceStructure(const Json& value);

}  // namespace sdar
