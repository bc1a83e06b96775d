// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/schema/compile.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/grammar/regular/dfa_operations.h"
#include "runtime/grammar/regular/regex.h"
#include "runtime/grammar/schema/assembler.h"

namespace sdar::grammar {
namespace {

// Every refusal is InvalidArgument with a pointer.
absl::Status Refusal(const absl::Status& status) {
  if (!PointerOf(status).empty()) return status;
  return ErrorAt("#", status.message());
}

absl::StatusOr<Automaton> TextAutomaton(absl::StatusOr<Dfa> dfa, absl::string_view source) {
  if (!dfa.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": ", dfa.status().message()));
  }
  if (IsEmpty(*dfa)) return absl::InvalidArgumentError(absl::StrCat(source, ": no text is valid"));
  return Automaton(*std::move(dfa));
}

}  // namespace

absl::StatusOr<Automaton> CompileJsonSchema(const Json& schema, const GrammarLimits& limits) {
  absl::StatusOr<SchemaDocument> document = SchemaDocument::Read(schema, limits);
  if (!document.ok()) return Refusal(document.status());
  Expander expander(*document, limits);
  Assembler assembler(expander, limits);
  const FormulaId root = expander.formulas().Schema(&schema);
  if (root == kNothing) return ErrorAt("#", "no value satisfies the schema false");
  absl::StatusOr<JsonGrammar> grammar = assembler.Assemble(root);
  if (!grammar.ok()) return Refusal(grammar.status());
  return Automaton(std::make_shared<const JsonGrammar>(*std::move(grammar)));
}

absl::StatusOr<Automaton> JsonObjectAutomaton(const GrammarLimits& limits) {
  return CompileJsonSchema({{"type", "object"}}, limits);
}

absl::StatusOr<Automaton> RegexAutomaton(absl::string_view pattern, const GrammarLimits& limits) {
  return TextAutomaton(CompileRegex(pattern, RegexUse::kWholeText, limits.regular), "regex");
}

absl::StatusOr<Automaton> ChoiceAutomaton(absl::Span<const std::string> choices,
                                          const GrammarLimits& limits) {
  return TextAutomaton(AnyOf(choices, limits.regular), "choice");
}

}  // namespace sdar::grammar
