// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/object_keys.h"

#include <algorithm>
#include <climits>

namespace sdar::grammar {
namespace {

bool BeginsWith(absl::Span<const uint32_t> text, absl::Span<const uint32_t> prefix) {
  return text.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), text.begin());
}

bool IsIn(const CharacterRanges& ranges, char32_t c) {
  return std::any_of(ranges.begin(), ranges.end(), [c](const CharacterRange& range) {
    return c >= range.first && c <= range.last;
  });
}

std::vector<uint32_t> Joined(absl::Span<const uint32_t> text, char32_t c) {
  std::vector<uint32_t> joined(text.begin(), text.end());
  joined.push_back(c);
  return joined;
}

}  // namespace

// The places of the names that begin with `text`: first, and one past the last.
std::pair<size_t, size_t> ObjectKeys::NamedWith(const ObjectRule& rule, uint32_t text) const {
  const Text prefix = lists_.Get(text);
  const auto less = [](const PropertyRule& property, Text wanted) {
    return std::lexicographical_compare(property.name.begin(), property.name.end(), wanted.begin(),
                                        wanted.end());
  };
  const auto first = std::lower_bound(rule.named.begin(), rule.named.end(), prefix, less);
  auto last = first;
  while (last != rule.named.end() && last->name.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), last->name.begin())) {
    ++last;
  }
  return {static_cast<size_t>(first - rule.named.begin()),
          static_cast<size_t>(last - rule.named.begin())};
}

bool ObjectKeys::IsNamed(const ObjectRule& rule, Text text) const {
  const auto first = std::lower_bound(
      rule.named.begin(), rule.named.end(), text, [](const PropertyRule& property, Text wanted) {
        return std::lexicographical_compare(property.name.begin(), property.name.end(),
                                            wanted.begin(), wanted.end());
      });
  return first != rule.named.end() && first->name.size() == text.size() &&
         std::equal(text.begin(), text.end(), first->name.begin());
}

ObjectFrame ObjectKeys::Begin(const ObjectFrame& frame) {
  ObjectFrame next;
  next.phase = ObjectPhase::kKey;
  next.text = 0;
  for (ObjectThread thread : frame.threads) {
    if (!rules_.CanAdd(thread)) continue;
    for (const NameClass& name_class : rules_.RuleOf(thread).classes) {
      thread.states.push_back(name_class.dfa == kNoDfa
                                  ? 0
                                  : grammar_.dfas[static_cast<size_t>(name_class.dfa)].start());
    }
    next.threads.push_back(std::move(thread));
  }
  return next;
}

ObjectFrame ObjectKeys::Next(const ObjectFrame& frame, uint8_t byte) {
  ObjectFrame next;
  next.phase = ObjectPhase::kKey;
  const CharacterStep step = StepCharacter(Writing::kJsonString, frame.at, byte);
  if (step.kind == CharacterStep::kInvalid) return next;
  next.text = frame.text;
  if (step.kind == CharacterStep::kBegun) {
    next.at = step.value;
  } else if (frame.text != kOffText) {
    next.text = lists_.Intern(Joined(lists_.Get(frame.text), step.value));
  }
  bool needs_text = false;
  for (ObjectThread thread : frame.threads) {
    for (size_t c = 0; c < thread.states.size() && step.kind == CharacterStep::kComplete; ++c) {
      const int dfa = rules_.RuleOf(thread).classes[c].dfa;
      int32_t& state = thread.states[c];
      if (dfa == kNoDfa || state == Dfa::kDead) continue;
      state = grammar_.dfas[static_cast<size_t>(dfa)].Next(state, step.value);
    }
    if (!IsAlive(thread, next.text, next.at)) continue;
    needs_text = needs_text || NeedsText(thread, next.text);
    next.threads.push_back(std::move(thread));
  }
  if (!needs_text && next.at == kNoCharacter) next.text = kOffText;
  return next;
}

bool ObjectKeys::NeedsText(const ObjectThread& thread, uint32_t text) const {
  if (text == kOffText) return false;
  if (rules_.Remembers(thread)) return true;
  const auto [first, last] = NamedWith(rules_.RuleOf(thread), text);
  if (first < last) return true;
  for (const uint32_t name : lists_.Get(thread.names)) {
    if (BeginsWith(lists_.Get(name), lists_.Get(text))) return true;
  }
  return false;
}

bool ObjectKeys::IsAlive(const ObjectThread& thread, uint32_t text, BegunCharacter begun) {
  return NamedAlive(thread, text, begun) || OtherAlive(thread, text, begun);
}

bool ObjectKeys::NamedAlive(const ObjectThread& thread, uint32_t text, BegunCharacter begun) {
  if (text == kOffText) return false;
  const ObjectRule& rule = rules_.RuleOf(thread);
  const CharacterRanges ranges = RangesOf(Writing::kJsonString, begun);
  const size_t length = lists_.Get(text).size();
  const auto [first, last] = NamedWith(rule, text);
  for (size_t i = first; i < last; ++i) {
    const std::u32string& name = rule.named[i].name;
    if (begun != kNoCharacter && (name.size() == length || !IsIn(ranges, name[length]))) continue;
    if (rules_.CanAddNamed(thread, i)) return true;
  }
  return false;
}

bool ObjectKeys::OtherAlive(const ObjectThread& thread, uint32_t text, BegunCharacter begun) {
  if (!rules_.CanAddOther(thread)) return false;
  for (size_t c = 0; c < thread.states.size(); ++c) {
    if (HasNewWord(thread, c, thread.states[c], text, begun)) return true;
  }
  return false;
}

// A name of the class that may be given can still be reached.
bool ObjectKeys::HasNewWord(const ObjectThread& thread, size_t name_class, int32_t state,
                            uint32_t text, BegunCharacter begun) {
  const int dfa = rules_.RuleOf(thread).classes[name_class].dfa;
  if (!rules_.CanAddClass(thread, static_cast<int>(name_class))) return false;
  if (dfa == kNoDfa) return true;
  if (state == Dfa::kDead) return false;
  const ScanDfa& scan = grammar_.dfas[static_cast<size_t>(dfa)];
  const Text prefix = text == kOffText ? Text() : lists_.Get(text);
  if (begun == kNoCharacter) {
    return text == kOffText || StateHasNewWord(thread, scan, state, prefix);
  }
  const auto num_names = static_cast<int>(lists_.Get(thread.names).size());
  for (const CharacterRange& range : RangesOf(Writing::kJsonString, begun)) {
    ScanDfa::EdgeBuffer buffer;
    for (const Dfa::Edge& edge : scan.Edges(state, buffer)) {
      if (edge.first > range.last || edge.last < range.first) continue;
      if (text == kOffText || scan.Words(edge.target) > num_names) return true;
      char32_t c = std::max(edge.first, range.first);
      for (int n = 0; n <= num_names && c <= std::min(edge.last, range.last); ++n, ++c) {
        if (StateHasNewWord(thread, scan, edge.target, Joined(prefix, c))) return true;
      }
    }
  }
  return false;
}

bool ObjectKeys::StateHasNewWord(const ObjectThread& thread, const ScanDfa& dfa, int32_t state,
                                 Text text) {
  const int words = dfa.Words(state);
  if (words > static_cast<int>(lists_.Get(thread.names).size())) return true;
  return words > NumForbiddenWith(thread, dfa, state, text);
}

// Names that must not come again, begin with `text` and lead from `state` to an accepting one.
int ObjectKeys::NumForbiddenWith(const ObjectThread& thread, const ScanDfa& dfa, int32_t state,
                                 Text text) const {
  int count = 0;
  for (const uint32_t id : lists_.Get(thread.names)) {
    const Text name = lists_.Get(id);
    if (!BeginsWith(name, text)) continue;
    int32_t at = state;
    for (size_t i = text.size(); i < name.size() && at != Dfa::kDead; ++i)
      at = dfa.Next(at, name[i]);
    if (at != Dfa::kDead && dfa.Accepts(at)) ++count;
  }
  return count;
}

ObjectFrame ObjectKeys::End(const ObjectFrame& frame) {
  ObjectFrame ended;
  ended.phase = ObjectPhase::kAfterKey;
  for (const ObjectThread& thread : frame.threads) AddEnded(thread, frame.text, ended);
  return ended;
}

void ObjectKeys::AddEnded(const ObjectThread& thread, uint32_t text, ObjectFrame& ended) {
  const ObjectRule& rule = rules_.RuleOf(thread);
  if (text != kOffText) {
    const Text name = lists_.Get(text);
    const auto [first, last] = NamedWith(rule, text);
    if (first < last && rule.named[first].name.size() == name.size()) {
      if (std::optional<ObjectThread> added = rules_.AddNamed(thread, first)) {
        added->states.clear();
        added->child = static_cast<uint32_t>(rule.named[first].node);
        ended.threads.push_back(*std::move(added));
      }
      return;
    }
  }
  for (size_t c = 0; c < rule.classes.size(); ++c) {
    const int dfa = rule.classes[c].dfa;
    const int32_t state = thread.states[c];
    if (dfa != kNoDfa &&
        (state == Dfa::kDead || !grammar_.dfas[static_cast<size_t>(dfa)].Accepts(state))) {
      continue;
    }
    AddOther(thread, static_cast<int>(c), text, ended);
  }
}

// The property as one among others, and as each witness that is still wanted.
void ObjectKeys::AddOther(const ObjectThread& thread, int name_class, uint32_t text,
                          ObjectFrame& ended) {
  const ObjectRule& rule = rules_.RuleOf(thread);
  for (int w = -1; w < static_cast<int>(rule.witnesses.size()); ++w) {
    std::optional<ObjectThread> added = rules_.AddOther(thread, name_class, text, w);
    if (!added) continue;
    added->states.clear();
    added->child = static_cast<uint32_t>(w < 0 ? rule.classes[static_cast<size_t>(name_class)].node
                                               : rule.witnesses[static_cast<size_t>(w)].node);
    ended.threads.push_back(*std::move(added));
  }
}

int ObjectKeys::Free(const ObjectFrame& frame) {
  if (frame.at != kNoCharacter) return 0;
  int free = 0;
  for (const ObjectThread& thread : frame.threads) {
    const ObjectRule& rule = rules_.RuleOf(thread);
    for (size_t c = 0; c < rule.classes.size(); ++c) {
      if (!rules_.CanAddClass(thread, static_cast<int>(c))) continue;
      const int dfa = rule.classes[c].dfa;
      if (dfa == kNoDfa) return INT_MAX;
      const int32_t state = thread.states[c];
      if (state == Dfa::kDead) continue;
      const int characters = grammar_.dfas[static_cast<size_t>(dfa)].Free(state);
      // Before the last of them there are more names than can be forbidden.
      const bool is_last_in_doubt = thread.names != 0 && characters > 0 && characters < INT_MAX;
      free = std::max(free, is_last_in_doubt ? characters - 1 : characters);
    }
  }
  return free;
}

}  // namespace sdar::grammar
