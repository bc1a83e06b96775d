// SPDX-License-Identifier: Apache-2.0
// Fuzzes walks through grammars over tokens: an input is a byte that picks the parts of an answer,
// a JSON schema or else a regular expression, a zero byte, and choices of a walk. No walk meets a
// dead end, masks have what leads on, and every answer that ends is one that the texts' own
// automaton accepts.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

#include "common/json.h"
#include "common/status_macros.h"
#include "runtime/grammar/schema/compile.h"
#include "tests/grammar/grammar_walk.h"
#include "tests/grammar/tokens/small_vocabulary.h"

namespace sdar::grammar {
namespace {

// Null where the text is neither a schema nor an expression, or too much to compile here.
std::unique_ptr<Automaton> Compile(absl::string_view text) {
  GrammarLimits limits;
  limits.max_work = 20'000;
  limits.max_alternatives = 32;
  limits.max_nodes = 500;
  limits.regular.max_states = 500;
  limits.regular.max_steps = 200'000;
  if (const auto schema = ParseJson(text, "schema"); schema.ok()) {
    auto automaton = CompileJsonSchema(*schema, limits);
    return automaton.ok() ? std::make_unique<Automaton>(*std::move(automaton)) : nullptr;
  }
  const auto dfa = CompileRegex(text, RegexUse::kWholeText, limits.regular);
  return dfa.ok() ? std::make_unique<Automaton>(*dfa) : nullptr;
}

struct Parts {
  bool text = true;
  bool calls = false;
  bool mixed = false;
  bool thinking = false;
};

Parts PartsOf(uint8_t choice) {
  Parts parts;
  parts.calls = choice % 4 != 0;
  parts.text = choice % 4 != 1;
  parts.mixed = choice % 4 == 3;
  parts.thinking = (choice & 4) != 0;
  return parts;
}

Envelope EnvelopeOf(const Parts& parts, absl::string_view source) {
  Envelope envelope = EnvelopeOf(parts.text ? Compile(source) : nullptr);
  if (parts.calls) {
    envelope.call = Compile(source);
    envelope.call_begin = kCallBegin;
    envelope.call_end = kCallEnd;
  }
  if (parts.mixed) {
    envelope.text = RegexTexts("[^]*");
    envelope.text_and_calls = true;
    envelope.text_marks = {kThinkBegin, kThinkEnd};
  }
  if (parts.thinking) envelope.thinking_end = kThinkEnd;
  return envelope;
}

std::vector<TokenId> Allowed(TokenGrammar& grammar, TokenState state) {
  const auto mask = grammar.Mask(state);
  std::vector<TokenId> allowed;
  for (TokenId token = 0; token < static_cast<TokenId>(SmallTokens().size()); ++token) {
    const bool leads = grammar.Next(state, token) != kDeadTokenState;
    SDAR_CHECK(mask->Has(token) == leads);
    if (leads) allowed.push_back(token);
  }
  return allowed;
}

// Appends a shortest end.
void End(TokenGrammar& grammar, TokenState state, std::vector<TokenId>& answer) {
  const std::vector<TokenId> end = grammar.ShortestEnd(state);
  SDAR_CHECK(static_cast<int64_t>(end.size()) == grammar.LeastTokens(state));
  for (const TokenId token : end) {
    const int64_t before = grammar.LeastTokens(state);
    state = grammar.Next(state, token);
    SDAR_CHECK(state != kDeadTokenState && grammar.LeastTokens(state) < before);
    answer.push_back(token);
  }
  SDAR_CHECK(grammar.MayEnd(state) && grammar.Next(state, kTokenEnd) == kDoneTokenState);
}

std::vector<TokenId> Walk(TokenGrammar& grammar, absl::string_view choices) {
  std::vector<TokenId> answer;
  TokenState state = grammar.start();
  for (const char choice : choices.substr(0, 16)) {
    const std::vector<TokenId> allowed = Allowed(grammar, state);
    SDAR_CHECK(!allowed.empty() && grammar.LeastTokens(state) >= 0);
    const TokenId token = allowed[static_cast<uint8_t>(choice) % allowed.size()];
    state = grammar.Next(state, token);
    if (state == kDoneTokenState) return answer;
    answer.push_back(token);
  }
  End(grammar, state, answer);
  return answer;
}

// Parts an answer at its marks and looks at each text by itself.
void CheckTexts(const Parts& parts, Automaton& texts, const std::vector<TokenId>& answer) {
  bool thinking = parts.thinking;
  bool in_call = false;
  bool called = false;
  std::string text;
  for (const TokenId token : answer) {
    if (thinking) {
      thinking = token != kThinkEnd;
    } else if (token == kCallBegin || token == kCallEnd) {
      SDAR_CHECK(parts.calls && in_call == (token == kCallEnd));
      if (in_call) SDAR_CHECK(AcceptsText(texts, text));
      in_call = token == kCallBegin;
      called = true;
      text.clear();
    } else if (token < kTokenEnd) {
      text += SmallTokens()[static_cast<size_t>(token)];
    }
  }
  SDAR_CHECK(!thinking && !in_call);
  SDAR_CHECK(called || parts.text);
  if (!called && !parts.mixed) SDAR_CHECK(AcceptsText(texts, text));
}

}  // namespace
}  // namespace sdar::grammar

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sdar::grammar;
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\0', 1);
  if (size < 2 || end == absl::string_view::npos) return 0;
  const absl::string_view source = input.substr(1, end - 1);
  const std::unique_ptr<Automaton> texts = Compile(source);
  if (texts == nullptr || texts->start() == kDeadState) return 0;
  const Parts parts = PartsOf(data[0]);
  const auto grammar = GrammarOf(EnvelopeOf(parts, source));
  CheckTexts(parts, *texts, Walk(*grammar, input.substr(end + 1)));
  return 0;
}
