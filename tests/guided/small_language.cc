// SPDX-License-Identifier: Apache-2.0
#include "tests/guided/small_language.h"

#include <utility>

#include "runtime/grammar/regular/regex.h"

namespace sdar {

std::shared_ptr<grammar::TokenGrammar> SmallGrammar(const std::string& regex) {
  auto vocabulary = std::make_shared<const grammar::Vocabulary>(SmallVocabulary());
  grammar::Envelope envelope;
  envelope.text = std::make_unique<grammar::Automaton>(
      *grammar::CompileRegex(regex, grammar::RegexUse::kWholeText));
  envelope.end_tokens = {kSmallEnd};
  return std::make_shared<grammar::TokenGrammar>(std::move(vocabulary), std::move(envelope));
}

}  // namespace sdar
