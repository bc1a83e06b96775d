// SPDX-License-Identifier: Apache-2.0
// Grammars of answers: a JSON schema, any JSON object, a regular expression, a list of texts.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/json.h"
#include "runtime/grammar/automaton/automaton.h"
#include "runtime/grammar/schema/grammar_limits.h"
#include "runtime/grammar/schema/schema_document.h"

namespace sdar::grammar {

// The JSON texts that satisfy `schema`, exactly: drafts 4 to 2020-12, as its $schema says, 2020-12
// without one. InvalidArgument names the keyword that cannot be had exactly, or what is wrong, or
// the limit; PointerOf(status) says where. Thread-safe.
absl::StatusOr<Automaton> CompileJsonSchema(const Json& schema, const GrammarLimits& limits = {});

// Any JSON object.
absl::StatusOr<Automaton> JsonObjectAutomaton(const GrammarLimits& limits = {});

// The texts that match `pattern` as a whole.
absl::StatusOr<Automaton> RegexAutomaton(absl::string_view pattern,
                                         const GrammarLimits& limits = {});

// One of `choices`, as it stands. InvalidArgument where there is none.
absl::StatusOr<Automaton> ChoiceAutomaton(absl::Span<const std::string> choices,
                                          const GrammarLimits& limits = {});

}  // namespace sdar::grammar
