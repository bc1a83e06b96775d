// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/tokens/shortest_text.h"

#include <limits>

namespace sdar::grammar {
namespace {

bool IsBlank(int byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

}  // namespace

// Distances of states in keys whose names are remembered take long, so few are asked for: the quote
// that ends a key comes first, and of white space nothing is expected.
ShortestText::Step ShortestText::StepFrom(StateId state) {
  if (const auto found = steps_.find(state); found != steps_.end()) return found->second;
  const int64_t distance = automaton_.Distance(state);
  const auto step_by = [&](int byte) {
    const StateId next = automaton_.Next(state, static_cast<uint8_t>(byte));
    const bool nearer = next != kDeadState && automaton_.Distance(next) < distance;
    return Step{static_cast<uint8_t>(byte), nearer ? next : kDeadState};
  };
  // A tab stands nowhere but between the tokens of JSON, and in regular languages.
  const bool is_between = automaton_.Next(state, '\t') != kDeadState;
  Step step = step_by('"');
  for (int byte = 0; byte < 256 && step.to == kDeadState; ++byte) {
    if (is_between && IsBlank(byte)) continue;
    step = step_by(byte);
  }
  for (int byte = 0; byte < 256 && step.to == kDeadState; ++byte) {
    if (IsBlank(byte)) step = step_by(byte);
  }
  steps_.emplace(state, step);
  return step;
}

std::string ShortestText::TextOf(StateId state) {
  std::string text;
  while (!automaton_.Accepts(state)) {
    const Step step = StepFrom(state);
    text.push_back(static_cast<char>(step.byte));
    state = step.to;
  }
  return text;
}

void ShortestText::Cover(const std::string& text) {
  constexpr int64_t kNone = std::numeric_limits<int64_t>::max() / 2;
  fewest_.assign(text.size() + 1, kNone);
  first_.assign(text.size() + 1, -1);
  fewest_[text.size()] = 0;
  for (size_t i = text.size(); i-- > 0;) {
    const absl::string_view rest = absl::string_view(text).substr(i);
    vocabulary_.all().ForEachPrefix(rest, [&](TokenId token, size_t length) {
      if (fewest_[i + length] + 1 > fewest_[i]) return;
      fewest_[i] = fewest_[i + length] + 1;
      first_[i] = token;
    });
  }
}

std::vector<TokenId> ShortestText::TokensOf(StateId state) {
  const std::string text = TextOf(state);
  Cover(text);
  std::vector<TokenId> tokens;
  for (size_t i = 0; i < text.size() && first_[i] >= 0;) {
    tokens.push_back(first_[i]);
    i += vocabulary_.Bytes(first_[i]).size();
  }
  return tokens;
}

int64_t ShortestText::CountOf(StateId state) {
  if (const auto found = counts_.find(state); found != counts_.end()) return found->second;
  Cover(TextOf(state));
  return counts_[state] = fewest_[0];
}

bool ShortestText::IsBelow(StateId state, int64_t limit) {
  // A byte is a token in these vocabularies, so that tokens are never more than bytes.
  if (vocabulary_.has_all_bytes() && automaton_.Distance(state) < limit) return true;
  return CountOf(state) < limit;
}

int ShortestText::ForcedByte(StateId state) {
  if (const auto found = forced_.find(state); found != forced_.end()) return found->second;
  int forced = kEnd;
  int live = automaton_.Accepts(state) ? 1 : 0;
  for (int byte = 0; byte < 256 && live < 2; ++byte) {
    if (automaton_.Next(state, static_cast<uint8_t>(byte)) == kDeadState) continue;
    forced = byte;
    ++live;
  }
  if (live != 1) forced = kChoice;
  return forced_[state] = forced;
}

}  // namespace sdar::grammar
