// SPDX-License-Identifier: Apache-2.0
// A vocabulary of every byte and some longer tokens, with ids for marks and ends after them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/grammar/regular/regex.h"
#include "runtime/grammar/tokens/token_grammar.h"

namespace sdar::grammar {

inline const std::vector<std::string>& SmallTokens() {
  static const std::vector<std::string> tokens = [] {
    std::vector<std::string> out;
    for (int byte = 0; byte < 256; ++byte) out.emplace_back(1, static_cast<char>(byte));
    for (const char* longer :
         {"ab", "abc", "bc", "cab", "12", "123", "\":", "\", \"", "\\n", "\xC3\xA9", "\xE2\x82",
          "  ", "\n\n", "}}", "a\"}", "{\"a", "true", "aaaa", "ab" /* a twin */}) {
      out.emplace_back(longer);
    }
    out.resize(out.size() + 6);  // marks and ends, which have no bytes
    return out;
  }();
  return tokens;
}

inline constexpr TokenId kTokenEnd = 256 + 19;
inline constexpr TokenId kOtherEnd = kTokenEnd + 1;
inline constexpr TokenId kCallBegin = kTokenEnd + 2;
inline constexpr TokenId kCallEnd = kTokenEnd + 3;
inline constexpr TokenId kThinkEnd = kTokenEnd + 4;
inline constexpr TokenId kThinkBegin = kTokenEnd + 5;

inline std::unique_ptr<Automaton> RegexTexts(const std::string& pattern) {
  return std::make_unique<Automaton>(*CompileRegex(pattern, RegexUse::kWholeText));
}

inline Envelope EnvelopeOf(std::unique_ptr<Automaton> text) {
  Envelope envelope;
  envelope.text = std::move(text);
  envelope.end_tokens = {kTokenEnd, kOtherEnd};
  return envelope;
}

inline Envelope EnvelopeOfCalls(const std::string& pattern) {
  Envelope envelope;
  envelope.call = RegexTexts(pattern);
  envelope.call_begin = kCallBegin;
  envelope.call_end = kCallEnd;
  envelope.end_tokens = {kTokenEnd, kOtherEnd};
  return envelope;
}

inline std::shared_ptr<TokenGrammar> GrammarOf(Envelope envelope) {
  return std::make_shared<TokenGrammar>(std::make_shared<const Vocabulary>(SmallTokens()),
                                        std::move(envelope));
}

inline TokenState Follow(TokenGrammar& grammar, const std::vector<TokenId>& tokens) {
  TokenState state = grammar.start();
  for (TokenId token : tokens) state = grammar.Next(state, token);
  return state;
}

}  // namespace sdar::grammar
