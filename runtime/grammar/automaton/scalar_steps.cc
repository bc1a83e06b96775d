// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/scalar_steps.h"

#include <algorithm>
#include <climits>

#include "absl/strings/string_view.h"

namespace sdar::grammar {
namespace {

absl::string_view LiteralOf(uint32_t text) {
  return text == kNullText ? "null" : text == kTrueText ? "true" : "false";
}

Step ReplaceByScalar(const ScalarFrame& frame) {
  return frame.entries.empty() ? Step() : Step::Replace(frame.Pack());
}

std::vector<uint32_t> Appended(absl::Span<const uint32_t> text, char32_t c) {
  std::vector<uint32_t> joined(text.begin(), text.end());
  joined.push_back(c);
  return joined;
}

// The entries whose nodes have such a scalar, at its start.
ScalarFrame BeginScalar(const JsonGrammar& grammar, const ScalarFrame& value, FrameKind kind,
                        int ValueNode::*dfa) {
  ScalarFrame frame;
  frame.kind = kind;
  for (const ScalarEntry& entry : value.entries) {
    const int target = grammar.nodes[static_cast<size_t>(entry.target)].*dfa;
    if (target == kNoDfa) continue;
    const int32_t start = grammar.dfas[static_cast<size_t>(target)].start();
    frame.entries.push_back({entry.slot, target, start, entry.texts});
  }
  return frame;
}

}  // namespace

bool ScalarSteps::IsTaken(uint32_t texts, uint32_t text) const {
  if (texts == kNoTexts) return false;
  const absl::Span<const uint32_t> taken = lists_.Get(texts);
  return std::binary_search(taken.begin(), taken.end(), text);
}

Step ScalarSteps::Begin(const ScalarFrame& value, uint8_t byte) {
  if (byte == '"') {
    ScalarFrame frame = BeginScalar(grammar_, value, FrameKind::kString, &ValueNode::string);
    if (std::any_of(frame.entries.begin(), frame.entries.end(),
                    [](const ScalarEntry& entry) { return entry.texts != kNoTexts; })) {
      frame.text = 0;
    }
    frame.entries.erase(
        std::remove_if(frame.entries.begin(), frame.entries.end(),
                       [&](const ScalarEntry& entry) { return !HasNewText(entry, frame); }),
        frame.entries.end());
    return ReplaceByScalar(frame);
  }
  if (byte == 'n') return BeginLiteral(value, kNullText);
  if (byte == 't') return BeginLiteral(value, kTrueText);
  if (byte == 'f') return BeginLiteral(value, kFalseText);
  return NextPlain(BeginScalar(grammar_, value, FrameKind::kNumber, &ValueNode::number), byte);
}

Step ScalarSteps::BeginLiteral(const ScalarFrame& value, uint32_t text) {
  ScalarFrame frame;
  frame.kind = FrameKind::kLiteral;
  frame.at = 1;
  frame.text = text;
  const uint32_t id = lists_.Intern({text});
  for (const ScalarEntry& entry : value.entries) {
    const ValueNode& node = grammar_.nodes[static_cast<size_t>(entry.target)];
    const bool takes = text == kNullText   ? node.takes_null
                       : text == kTrueText ? node.takes_true
                                           : node.takes_false;
    if (takes && !IsTaken(entry.texts, id)) frame.entries.push_back({entry.slot, 0, 0, kNoTexts});
  }
  return ReplaceByScalar(frame);
}

Step ScalarSteps::Next(const ScalarFrame& frame, uint8_t byte) {
  if (frame.kind == FrameKind::kLiteral) return NextLiteral(frame, byte);
  return frame.kind == FrameKind::kString ? NextString(frame, byte) : NextPlain(frame, byte);
}

Step ScalarSteps::NextLiteral(const ScalarFrame& frame, uint8_t byte) {
  const absl::string_view literal = LiteralOf(frame.text);
  if (byte != static_cast<uint8_t>(literal[frame.at])) return {};
  if (frame.at + 1 < literal.size()) {
    ScalarFrame next = frame;
    ++next.at;
    return Step::Replace(next.Pack());
  }
  Step step;
  step.kind = Step::kPop;
  for (const ScalarEntry& entry : frame.entries) step.slots.push_back(entry.slot);
  step.text = lists_.Intern({frame.text});
  return step;
}

// The begun string can still become one that differs from the entry's texts.
bool ScalarSteps::HasNewText(const ScalarEntry& entry, const ScalarFrame& frame) {
  if (frame.at != kNoCharacter && DfaOf(entry).LeastFrom(entry.state, frame.at) >= kNever) {
    return false;
  }
  if (entry.texts == kNoTexts || lists_.Get(entry.texts).empty()) return true;
  const size_t taken = lists_.Get(entry.texts).size();
  if (frame.at == kNoCharacter && DfaOf(entry).Words(entry.state) > static_cast<int>(taken)) {
    return true;
  }
  const absl::Span<const uint32_t> text = lists_.Get(frame.text);
  for (const CheapWord& word :
       DfaOf(entry).CheapestWords(entry.state, frame.at, static_cast<int>(taken + 1))) {
    std::vector<uint32_t> joined(text.begin(), text.end());
    joined.insert(joined.end(), word.text.begin(), word.text.end());
    if (!IsTaken(entry.texts, lists_.Intern(joined))) return true;
  }
  return false;
}

Step ScalarSteps::NextString(const ScalarFrame& frame, uint8_t byte) {
  if (byte == '"' && frame.at == kNoCharacter) return EndString(frame);
  const CharacterStep step = StepCharacter(Writing::kJsonString, frame.at, byte);
  if (step.kind == CharacterStep::kInvalid) return {};
  ScalarFrame next = frame;
  next.at = step.kind == CharacterStep::kBegun ? step.value : kNoCharacter;
  if (step.kind == CharacterStep::kComplete && frame.text != kOffText) {
    next.text = lists_.Intern(Appended(lists_.Get(frame.text), step.value));
  }
  next.entries.clear();
  for (ScalarEntry entry : frame.entries) {
    if (step.kind == CharacterStep::kComplete) {
      entry.state = DfaOf(entry).Next(entry.state, step.value);
      if (entry.state == Dfa::kDead) continue;
    }
    if (HasNewText(entry, next)) next.entries.push_back(entry);
  }
  return ReplaceByScalar(next);
}

Step ScalarSteps::EndString(const ScalarFrame& frame) {
  Step step;
  for (const ScalarEntry& entry : frame.entries) {
    if (DfaOf(entry).Accepts(entry.state) && !IsTaken(entry.texts, frame.text)) {
      step.slots.push_back(entry.slot);
    }
  }
  step.text = frame.text;
  if (!step.slots.empty()) step.kind = Step::kPop;
  return step;
}

// Numbers and texts of their own: plain characters, ended by what does not belong to them.
Step ScalarSteps::NextPlain(const ScalarFrame& frame, uint8_t byte) {
  const CharacterStep step = StepCharacter(Writing::kPlain, frame.at, byte);
  if (step.kind != CharacterStep::kInvalid) {
    ScalarFrame next = frame;
    next.at = step.kind == CharacterStep::kBegun ? step.value : kNoCharacter;
    next.entries.clear();
    for (ScalarEntry entry : frame.entries) {
      if (step.kind == CharacterStep::kComplete) {
        entry.state = DfaOf(entry).Next(entry.state, step.value);
        if (entry.state == Dfa::kDead) continue;
      } else if (DfaOf(entry).LeastFrom(entry.state, next.at) >= kNever) {
        continue;
      }
      next.entries.push_back(entry);
    }
    if (!next.entries.empty()) return Step::Replace(next.Pack());
  }
  Step ended;
  ended.slots = Ended(frame);
  if (frame.kind != FrameKind::kNumber || ended.slots.empty()) return {};
  ended.kind = Step::kPop;
  ended.again = true;
  return ended;
}

Slots ScalarSteps::Ended(const ScalarFrame& frame) const {
  Slots slots;
  if (frame.at != kNoCharacter) return slots;
  for (const ScalarEntry& entry : frame.entries) {
    if (DfaOf(entry).Accepts(entry.state)) slots.push_back(entry.slot);
  }
  return slots;
}

int64_t ScalarSteps::Cost(const ScalarFrame& frame, SlotCost after) {
  int64_t least = kNever;
  for (const ScalarEntry& entry : frame.entries) {
    int64_t cost = kNever;
    if (frame.kind == FrameKind::kValue) {
      cost = ValueCost(entry, after);
    } else if (frame.kind == FrameKind::kLiteral) {
      cost = static_cast<int64_t>(LiteralOf(frame.text).size() - frame.at) +
             after(entry.slot, lists_.Intern({frame.text}));
    } else if (frame.kind == FrameKind::kString) {
      cost = StringCost(entry, frame, after);
    } else {
      cost = DfaOf(entry).LeastFrom(entry.state, frame.at) + after(entry.slot, kOffText);
    }
    least = std::min(least, cost);
  }
  return least;
}

// A value that is compared is a literal or a string.
int64_t ScalarSteps::ValueCost(const ScalarEntry& entry, SlotCost after) {
  const ValueNode& node = grammar_.nodes[static_cast<size_t>(entry.target)];
  if (entry.texts == kNoTexts) return node.least + after(entry.slot, kOffText);
  int64_t least = kNever;
  const std::pair<bool, uint32_t> literals[] = {
      {node.takes_null, kNullText}, {node.takes_true, kTrueText}, {node.takes_false, kFalseText}};
  for (const auto& [takes, text] : literals) {
    const uint32_t id = lists_.Intern({text});
    if (!takes || IsTaken(entry.texts, id)) continue;
    least = std::min(least, static_cast<int64_t>(LiteralOf(text).size()) + after(entry.slot, id));
  }
  if (node.string != kNoDfa) {
    ScalarFrame string;
    string.kind = FrameKind::kString;
    string.text = 0;
    const ScalarEntry begun = {entry.slot, node.string,
                               grammar_.dfas[static_cast<size_t>(node.string)].start(),
                               entry.texts};
    least = std::min(least, 1 + ComparedCost(begun, string, after));
  }
  return least;
}

int64_t ScalarSteps::StringCost(const ScalarEntry& entry, const ScalarFrame& frame,
                                SlotCost after) {
  if (entry.texts != kNoTexts) return ComparedCost(entry, frame, after);
  return DfaOf(entry).LeastFrom(entry.state, frame.at) + 1 + after(entry.slot, kOffText);
}

// Which string is written changes which are left, so each of the cheapest is tried.
int64_t ScalarSteps::ComparedCost(const ScalarEntry& entry, const ScalarFrame& frame,
                                  SlotCost after) {
  const auto wanted = static_cast<int>(lists_.Get(entry.texts).size()) +
                      static_cast<int>(grammar_.most_distinct) + 1;
  int64_t least = kNever;
  for (const CheapWord& word : DfaOf(entry).CheapestWords(entry.state, frame.at, wanted)) {
    const absl::Span<const uint32_t> text = lists_.Get(frame.text);
    std::vector<uint32_t> joined(text.begin(), text.end());
    joined.insert(joined.end(), word.text.begin(), word.text.end());
    const uint32_t id = lists_.Intern(joined);
    if (IsTaken(entry.texts, id)) continue;
    least = std::min(least, word.cost + 1 + after(entry.slot, id));
  }
  return least;
}

int ScalarSteps::Free(const ScalarFrame& frame) const {
  if (frame.kind != FrameKind::kString || frame.at != kNoCharacter) return 0;
  int free = 0;
  for (const ScalarEntry& entry : frame.entries) {
    if (entry.texts != kNoTexts && DfaOf(entry).Words(entry.state) < ScanDfa::kManyWords) continue;
    free = std::max(free, DfaOf(entry).Free(entry.state));
  }
  return free;
}

}  // namespace sdar::grammar
