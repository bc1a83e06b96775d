// SPDX-License-Identifier: Apache-2.0
// The grammars of the kinds of structures.
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/json.h"
#include "common/status_macros.h"
#include "runtime/grammar/regular/dfa_operations.h"
#include "runtime/grammar/regular/regex.h"
#include "runtime/grammar/schema/compile.h"
#include "runtime/grammar/structure/structure_compiler.h"

namespace sdar::grammar {
namespace {

constexpr size_t kMaxTools = 256;
constexpr size_t kMaxChoices = 4096;
constexpr int kMaxSchemaDepth = 128;

using AutomatonOr = absl::StatusOr<std::unique_ptr<Automaton>>;

AutomatonOr NotEmpty(Automaton automaton) {
  if (automaton.start() == kDeadState) {
    return absl::InvalidArgumentError("no answer could be valid");
  }
  return std::make_unique<Automaton>(std::move(automaton));
}

// An error says where in the schema it lies.
AutomatonOr OfSchema(const Json& schema) {
  absl::StatusOr<Automaton> automaton = CompileJsonSchema(schema);
  if (automaton.ok()) return NotEmpty(*std::move(automaton));
  const std::string pointer = PointerOf(automaton.status());
  if (pointer.empty()) return automaton.status();
  return absl::Status(automaton.status().code(),
                      absl::StrCat(automaton.status().message(), ", at ", pointer));
}

AutomatonOr OfSchemaText(absl::string_view text) {
  SDAR_ASSIGN_OR_RETURN(const Json schema, ParseJson(text, "the JSON schema", kMaxSchemaDepth));
  return OfSchema(schema);
}

// {"name": NAME, "arguments": ARGUMENTS} of one of the tools. A tool's schema is a document of its
// own, to which its references lead.
absl::StatusOr<Json> SchemaOfCalls(const std::vector<ToolSpec>& tools) {
  if (tools.empty() || tools.size() > kMaxTools) {
    return absl::InvalidArgumentError(
        absl::StrCat("tools: expected 1 .. ", kMaxTools, ", got ", tools.size()));
  }
  Json calls = Json::array();
  for (size_t i = 0; i < tools.size(); ++i) {
    const ToolSpec& tool = tools[i];
    Json parameters = Json{{"type", "object"}};
    if (!tool.parameters.empty()) {
      SDAR_ASSIGN_OR_RETURN(
          parameters, ParseJson(tool.parameters, absl::StrCat("tools[", i, "]"), kMaxSchemaDepth));
    }
    if (parameters.is_object() && !parameters.contains("$id")) {
      parameters["$id"] = absl::StrCat("urn:tool:", i);
    }
    calls.push_back({{"type", "object"},
                     {"properties", {{"name", {{"const", tool.name}}}, {"arguments", parameters}}},
                     {"required", {"name", "arguments"}},
                     {"additionalProperties", false}});
  }
  return Json{{"anyOf", std::move(calls)}};
}

absl::Status AddCalls(const StructureSpec& spec, const StructureMarks& marks, Envelope& envelope) {
  if (marks.call_begin < 0 || marks.call_end < 0) {
    return absl::InvalidArgumentError(
        "tools: the model's tokenizer has no tokens that begin and end a call");
  }
  SDAR_ASSIGN_OR_RETURN(const Json schema, SchemaOfCalls(spec.tools));
  SDAR_ASSIGN_OR_RETURN(envelope.call, OfSchema(schema));
  envelope.call->AllowSpaceAround();  // templates write each mark on a line of its own
  envelope.call_begin = marks.call_begin;
  envelope.call_end = marks.call_end;
  envelope.many_calls = spec.many_calls;
  if (spec.must_call) return absl::OkStatus();
  if (!spec.text.empty()) {
    SDAR_ASSIGN_OR_RETURN(envelope.text, OfSchemaText(spec.text));
    return absl::OkStatus();
  }
  // A call that is spelled in letters would be read as one.
  SDAR_ASSIGN_OR_RETURN(const Dfa spelled, CompileRegex("<tool_call>", RegexUse::kSearch));
  envelope.text = std::make_unique<Automaton>(Complement(spelled));
  envelope.text_and_calls = true;
  for (TokenId mark : {marks.think_begin, marks.think_end}) {
    if (mark >= 0) envelope.text_marks.push_back(mark);
  }
  return absl::OkStatus();
}

absl::Status AddText(const StructureSpec& spec, Envelope& envelope) {
  using Kind = StructureSpec::Kind;
  if (spec.kind == Kind::kJsonObject) {
    SDAR_ASSIGN_OR_RETURN(envelope.text, OfSchemaText(R"({"type":"object"})"));
    return absl::OkStatus();
  }
  if (spec.kind == Kind::kJsonSchema) {
    SDAR_ASSIGN_OR_RETURN(envelope.text, OfSchemaText(spec.text));
    return absl::OkStatus();
  }
  absl::StatusOr<Dfa> texts;
  if (spec.kind == Kind::kRegex) {
    texts = CompileRegex(spec.text, RegexUse::kWholeText);
  } else if (spec.choices.size() > kMaxChoices) {
    texts = absl::InvalidArgumentError(
        absl::StrCat("choice: expected at most ", kMaxChoices, ", got ", spec.choices.size()));
  } else {
    texts = AnyOf(spec.choices);
  }
  SDAR_RETURN_IF_ERROR(texts.status());
  envelope.any_text = IsAnyText(*texts);
  SDAR_ASSIGN_OR_RETURN(envelope.text, NotEmpty(Automaton(*std::move(texts))));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<TokenGrammar>> CompileStructure(
    const StructureSpec& spec, std::shared_ptr<const Vocabulary> vocabulary,
    const StructureMarks& marks, absl::Span<const TokenId> end_tokens) {
  Envelope envelope;
  envelope.end_tokens.assign(end_tokens.begin(), end_tokens.end());
  SDAR_RETURN_IF_ERROR(spec.kind == StructureSpec::Kind::kTools ? AddCalls(spec, marks, envelope)
                                                                : AddText(spec, envelope));
  if (spec.after_thinking) {
    if (marks.think_end < 0) {
      return absl::InvalidArgumentError("the model's tokenizer has no token that ends thinking");
    }
    envelope.thinking_end = marks.think_end;
  }
  return std::make_shared<TokenGrammar>(std::move(vocabulary), std::move(envelope));
}

}  // namespace sdar::grammar
