// SPDX-License-Identifier: Apache-2.0
// What it costs to complete an object from within a key.
#include <algorithm>

#include "runtime/grammar/automaton/object_keys.h"

namespace sdar::grammar {
namespace {

constexpr int64_t kQuoteAndColon = 2;

// The bytes from a begun character to `c`; kNever where it cannot become that.
int64_t CostTo(BegunCharacter begun, char32_t c) {
  int64_t cost = kNever;
  for (const CharacterRange& range : RangesOf(Writing::kJsonString, begun)) {
    if (c >= range.first && c <= range.last) cost = std::min<int64_t>(cost, range.cost);
  }
  return cost;
}

}  // namespace

int64_t ObjectKeys::Cost(const ObjectFrame& frame, SlotCost after) {
  int64_t least = kNever;
  for (const ObjectThread& thread : frame.threads) {
    least = std::min(least, NamedCost(thread, frame.text, frame.at, after));
    for (size_t c = 0; c < rules_.RuleOf(thread).classes.size(); ++c) {
      least = std::min(least, ClassCost(thread, c, frame, after));
    }
  }
  return least;
}

// From the closing quote of a key that is `text` to the end, the quote not counted.
int64_t ObjectKeys::EndCost(const ObjectThread& thread, uint32_t text, SlotCost after) {
  ObjectFrame ended;
  AddEnded(thread, text, ended);
  int64_t least = kNever;
  for (const ObjectThread& added : ended.threads) {
    least = std::min(least, 1 + grammar_.nodes[added.child].least + rules_.Finish(added) +
                                after(added.slot, kOffText));
  }
  return least;
}

int64_t ObjectKeys::NamedCost(const ObjectThread& thread, uint32_t text, BegunCharacter begun,
                              SlotCost after) {
  if (text == kOffText) return kNever;
  const ObjectRule& rule = rules_.RuleOf(thread);
  const size_t length = lists_.Get(text).size();
  const auto [first, last] = NamedWith(rule, text);
  int64_t least = kNever;
  for (size_t i = first; i < last; ++i) {
    const std::u32string& name = rule.named[i].name;
    if (begun != kNoCharacter && name.size() == length) continue;
    const std::optional<ObjectThread> added = rules_.AddNamed(thread, i);
    if (!added) continue;
    size_t at = length;
    int64_t cost = kQuoteAndColon;
    if (begun != kNoCharacter) cost += CostTo(begun, name[at++]);
    cost += CostOf(Writing::kJsonString, absl::MakeConstSpan(name).subspan(at));
    cost += grammar_.nodes[static_cast<size_t>(rule.named[i].node)].least;
    if (cost >= kNever) continue;
    least = std::min(least, cost + rules_.Finish(*added) + after(thread.slot, kOffText));
  }
  return least;
}

// Bytes to complete a name that the rule does not name.
int64_t ObjectKeys::UnnamedCost(const ObjectRule& rule, uint32_t text, BegunCharacter begun) const {
  if (text == kOffText) {
    int64_t least = begun == kNoCharacter ? 0 : kNever;
    if (begun == kNoCharacter) return least;
    for (const CharacterRange& range : RangesOf(Writing::kJsonString, begun)) {
      least = std::min<int64_t>(least, range.cost);
    }
    return least;
  }
  const Text prefix = lists_.Get(text);
  if (begun == kNoCharacter && !IsNamed(rule, prefix)) return 0;
  std::vector<uint32_t> joined(prefix.begin(), prefix.end());
  joined.push_back(0);
  int64_t least = kNever;
  for (const CharacterRange& range : RangesOf(Writing::kJsonString, begun)) {
    for (char32_t c = range.first;; ++c) {
      joined.back() = c;
      if (!IsNamed(rule, joined)) {
        least = std::min<int64_t>(least, range.cost);
        break;
      }
      if (c == range.last) {
        least = std::min<int64_t>(least, range.cost + 1);
        break;
      }
    }
  }
  return least;
}

void ObjectKeys::Advance(const NameClass& name_class, absl::Span<const char32_t> text,
                         int32_t& state) const {
  if (name_class.dfa == kNoDfa) return;
  for (const char32_t c : text) {
    if (state == Dfa::kDead) return;
    state = grammar_.dfas[static_cast<size_t>(name_class.dfa)].Next(state, c);
  }
}

int64_t ObjectKeys::ClassCost(const ObjectThread& thread, size_t name_class,
                              const ObjectFrame& frame, SlotCost after) {
  const ObjectRule& rule = rules_.RuleOf(thread);
  const NameClass& entry = rule.classes[name_class];
  if (!rules_.CanAddClass(thread, static_cast<int>(name_class))) return kNever;
  if (rules_.Remembers(thread) || thread.names != 0) {
    return RememberedCost(thread, name_class, frame, after);
  }
  int64_t cost = 0;
  if (entry.dfa == kNoDfa) {
    cost = UnnamedCost(rule, frame.text, frame.at);
  } else {
    const int32_t state = thread.states[name_class];
    if (state == Dfa::kDead) return kNever;
    cost = grammar_.dfas[static_cast<size_t>(entry.dfa)].LeastFrom(state, frame.at);
  }
  const std::optional<ObjectThread> added =
      rules_.AddOther(thread, static_cast<int>(name_class), kOffText, -1);
  if (!added || cost >= kNever) return kNever;
  return cost + kQuoteAndColon + grammar_.nodes[static_cast<size_t>(entry.node)].least +
         rules_.Finish(*added) + after(thread.slot, kOffText);
}

// Which name is taken changes which names are left, so each of the cheapest is tried.
int64_t ObjectKeys::RememberedCost(const ObjectThread& thread, size_t name_class,
                                   const ObjectFrame& frame, SlotCost after) {
  const ObjectRule& rule = rules_.RuleOf(thread);
  const int dfa = rule.classes[name_class].dfa;
  const int32_t state = thread.states[name_class];
  if (dfa == kNoDfa || state == Dfa::kDead) return kNever;
  if (frame.text == kOffText) {
    const std::optional<ObjectThread> added =
        rules_.AddOther(thread, static_cast<int>(name_class), kOffText, -1);
    if (!added) return kNever;
    return grammar_.dfas[static_cast<size_t>(dfa)].LeastFrom(state, frame.at) + kQuoteAndColon +
           grammar_.nodes[static_cast<size_t>(rule.classes[name_class].node)].least +
           rules_.Finish(*added) + after(thread.slot, kOffText);
  }
  const int64_t wanted = static_cast<int64_t>(lists_.Get(thread.names).size()) + rule.min +
                         static_cast<int64_t>(rule.witnesses.size()) + 2;
  const std::vector<CheapWord> words = grammar_.dfas[static_cast<size_t>(dfa)].CheapestWords(
      state, frame.at, static_cast<int>(wanted));
  int64_t least = kNever;
  for (const CheapWord& word : words) {
    const Text prefix = lists_.Get(frame.text);
    std::vector<uint32_t> text(prefix.begin(), prefix.end());
    text.insert(text.end(), word.text.begin(), word.text.end());
    ObjectThread ended = thread;
    for (size_t c = 0; c < ended.states.size(); ++c)
      Advance(rule.classes[c], word.text, ended.states[c]);
    least = std::min(least, word.cost + 1 + EndCost(ended, lists_.Intern(text), after));
  }
  return least;
}

}  // namespace sdar::grammar
