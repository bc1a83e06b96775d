// SPDX-License-Identifier: Apache-2.0
// One line of sdar-grammar: a grammar and texts in, what the grammar accepts out.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/json.h"
#include "runtime/grammar/automaton/automaton.h"
#include "runtime/grammar/tokens/vocabulary.h"
#include "runtime/text/tokenizer.h"

namespace sdar {

// Answers requests of three kinds, told apart by "json_schema", "regex" or "choice".
class GrammarLine {
 public:
  // Loads the tokenizer of `folder`.
  static absl::StatusOr<GrammarLine> Load(const std::string& folder);

  // The result for `line`, the JSON text of one object: "error" is null, or says why the grammar is
  // refused and where. InvalidArgument says what is wrong with the line itself; `request` is then
  // as much of the object as was read, for its id.
  absl::StatusOr<Json> Answer(absl::string_view line, Json& request) const;

 private:
  explicit GrammarLine(Tokenizer tokenizer);

  static absl::StatusOr<grammar::Automaton> Compile(const Json& request);
  // Adds whether each text is accepted: its canonical tokens, then an end token; and how long the
  // masks on its way took.
  absl::Status AddTexts(const std::vector<std::string>& texts, grammar::Automaton automaton,
                        Json& result) const;

  Tokenizer tokenizer_;
  TokenId end_token_;  // one past the tokenizer's ids
  std::shared_ptr<const grammar::Vocabulary> vocabulary_;
};

}  // namespace sdar
