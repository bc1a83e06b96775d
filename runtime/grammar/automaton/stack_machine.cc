// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/stack_machine.h"

#include <algorithm>
#include <climits>

namespace sdar::grammar {
namespace {

FrameWords OnlyKind(FrameKind kind) { return {static_cast<uint32_t>(kind)}; }

// The value of a whole text: no blanks before it.
constexpr uint32_t kNoBlanks = ~0u;

// What may follow a number, whatever holds it.
bool EndsNumber(uint8_t byte) {
  return byte == ',' || byte == ']' || byte == '}' || byte == ' ' || byte == '\t' || byte == '\n' ||
         byte == '\r';
}

bool IsWaiting(absl::Span<const uint32_t> frame) {
  if (KindOf(frame) == FrameKind::kObject) {
    return frame[1] == static_cast<uint32_t>(ObjectPhase::kWaiting);
  }
  return KindOf(frame) == FrameKind::kArray &&
         frame[1] == static_cast<uint32_t>(ArrayPhase::kWaiting);
}

}  // namespace

StackMachine::StackMachine(std::shared_ptr<const JsonGrammar> grammar, bool text)
    : grammar_(std::move(grammar)),
      lists_(std::make_unique<SequenceTable>()),
      objects_(*grammar_, *lists_),
      arrays_(*grammar_, *lists_),
      scalars_(*grammar_, *lists_) {
  stacks_.resize(2);  // kDead and kOpen
  root_ = Push(OnlyKind(FrameKind::kRoot), kDead);
  unknown_ = Push(OnlyKind(FrameKind::kUnknown), kDead);
  ScalarFrame first;
  if (text) {
    if (grammar_->dfas[0].start() == Dfa::kDead) return;
    first.kind = FrameKind::kText;
    first.entries.push_back({0, 0, grammar_->dfas[0].start(), kNoTexts});
  } else {
    if (grammar_->root == kNoNode) return;
    first.at = kNoBlanks;
    first.entries.push_back({0, grammar_->root, 0, kNoTexts});
  }
  start_ = Push(first.Pack(), root_);
}

void StackMachine::AllowSpaceAround() {
  if (start_ == kDead || KindOf(FrameOf(start_)) != FrameKind::kValue) return;
  space_around_ = true;
  ScalarFrame first = ScalarFrame::Unpack(FrameOf(start_));
  first.at = 0;
  start_ = Push(first.Pack(), root_);
}

// What follows a whole value: the second word of the frame counts its white space.
Step StackMachine::StepDone(absl::Span<const uint32_t> frame, uint8_t byte) const {
  const int blanks = space_around_ ? StepBlank(frame.size() > 1 ? frame[1] : 0, byte) : -1;
  if (blanks < 0) return {};
  return Step::Replace({static_cast<uint32_t>(FrameKind::kDone), static_cast<uint32_t>(blanks)});
}

uint32_t StackMachine::Push(absl::Span<const uint32_t> frame, uint32_t below) {
  const uint32_t id = frames_.Intern(frame);
  const auto [found, is_new] = ids_.try_emplace({id, below}, static_cast<uint32_t>(stacks_.size()));
  if (is_new) stacks_.push_back({id, below, kUnvisited});
  return found->second;
}

uint32_t StackMachine::Next(uint32_t state, uint8_t byte) {
  if (state == kDead || state == kOpen) return state;
  if (stacks_[state].row == kUnvisited) {
    if (rows_.size() >= kMaxRows) {
      for (const uint32_t owner : row_owners_) stacks_[owner].row = kUnvisited;
      rows_.clear();
      row_owners_.clear();
    }
    stacks_[state].row = static_cast<uint32_t>(rows_.size());
    rows_.push_back(std::make_unique<Row>());
    rows_.back()->fill(kUnvisited);
    row_owners_.push_back(state);
  }
  uint32_t& next = (*rows_[stacks_[state].row])[byte];
  if (next == kUnvisited) next = Find(state, byte);
  return next;
}

uint32_t StackMachine::Find(uint32_t state, uint8_t byte) {
  while (state != kDead && state != kOpen) {
    const uint32_t below = stacks_[state].below;
    const Step step = StepTop(FrameOf(state), byte);
    switch (step.kind) {
      case Step::kDead:
        return kDead;
      case Step::kReplace:
        state = Push(step.frame, below);
        break;
      case Step::kPush:
        state = Push(step.above, Push(step.frame, below));
        break;
      case Step::kPop:
        state = Pop(below, step, byte);
        break;
    }
    if (!step.again) break;
  }
  return state;
}

Step StackMachine::StepTop(absl::Span<const uint32_t> frame, uint8_t byte) {
  switch (KindOf(frame)) {
    case FrameKind::kObject:
      return objects_.Next(ObjectFrame::Unpack(frame), byte);
    case FrameKind::kArray:
      return arrays_.Next(ArrayFrame::Unpack(frame), byte);
    case FrameKind::kString:
    case FrameKind::kNumber:
    case FrameKind::kLiteral:
    case FrameKind::kText:
      return scalars_.Next(ScalarFrame::Unpack(frame), byte);
    case FrameKind::kValue:
      break;
    case FrameKind::kDone:
      return StepDone(frame, byte);
    default:
      return {};
  }
  ScalarFrame value = ScalarFrame::Unpack(frame);
  const bool is_root = value.at == kNoBlanks;
  if (const int blanks = is_root ? -1 : StepBlank(value.at, byte); blanks >= 0) {
    value.at = static_cast<uint32_t>(blanks);
    return Step::Replace(value.Pack());
  }
  if (byte == '{') {
    const std::optional<ObjectFrame> begun = objects_.Begin(value.entries);
    return begun ? Step::Replace(begun->Pack()) : Step();
  }
  if (byte == '[') {
    const std::optional<ArrayFrame> begun = arrays_.Begin(value.entries);
    return begun ? Step::Replace(begun->Pack()) : Step();
  }
  return scalars_.Begin(value, byte);
}

uint32_t StackMachine::Pop(uint32_t below, const Step& step, uint8_t byte) {
  if (below == unknown_) return step.again && !EndsNumber(byte) ? kDead : kOpen;
  if (below == root_) {
    const uint32_t done = Push(OnlyKind(FrameKind::kDone), kDead);
    return step.again && !space_around_ ? kDead : done;
  }
  const absl::Span<const uint32_t> frame = FrameOf(below);
  if (KindOf(frame) == FrameKind::kObject) {
    const auto next = objects_.Resume(ObjectFrame::Unpack(frame), step.slots);
    return next ? Push(next->Pack(), stacks_[below].below) : kDead;
  }
  const auto next = arrays_.Resume(ArrayFrame::Unpack(frame), step.slots, step.text);
  return next ? Push(next->Pack(), stacks_[below].below) : kDead;
}

bool StackMachine::Accepts(uint32_t state) const {
  if (state == kDead || state == kOpen) return false;
  const absl::Span<const uint32_t> frame = FrameOf(state);
  if (KindOf(frame) == FrameKind::kDone) return true;
  if (stacks_[state].below != root_) return false;
  if (KindOf(frame) != FrameKind::kText && KindOf(frame) != FrameKind::kNumber) return false;
  return !scalars_.Ended(ScalarFrame::Unpack(frame)).empty();
}

uint32_t StackMachine::Floating(uint32_t state) {
  if (state == kDead || state == kOpen) return state;
  if (KindOf(FrameOf(state)) == FrameKind::kDone) return state;
  return Push(FrameOf(state), unknown_);
}

int StackMachine::FreeCharacters(uint32_t state) {
  if (state == kDead || state == kOpen) return 0;
  const absl::Span<const uint32_t> frame = FrameOf(state);
  if (KindOf(frame) == FrameKind::kString) return scalars_.Free(ScalarFrame::Unpack(frame));
  return KindOf(frame) == FrameKind::kObject ? objects_.Free(ObjectFrame::Unpack(frame)) : 0;
}

int64_t StackMachine::Distance(uint32_t state) {
  if (state == kDead) return kNever;
  if (const auto found = distances_.find(state); found != distances_.end()) return found->second;
  const absl::Span<const uint32_t> frame = FrameOf(state);
  const uint32_t below = stacks_[state].below;
  PrepareBelow(below);
  const auto after = [&](uint32_t slot, uint32_t text) { return After(below, slot, text); };
  int64_t distance = 0;
  if (KindOf(frame) == FrameKind::kObject) {
    distance = objects_.Cost(ObjectFrame::Unpack(frame), after);
  } else if (KindOf(frame) == FrameKind::kArray) {
    distance = arrays_.Cost(ArrayFrame::Unpack(frame), after);
  } else if (KindOf(frame) != FrameKind::kDone) {
    distance = scalars_.Cost(ScalarFrame::Unpack(frame), after);
  }
  distance = std::min(distance, kNever);
  distances_.emplace(state, distance);
  return distance;
}

// From the bottom upwards, so that deep texts need no recursion.
void StackMachine::PrepareBelow(uint32_t state) {
  std::vector<uint32_t> open;
  while (state != root_ && state != unknown_ && state != kDead) {
    if (after_.contains({state, 0})) break;
    open.push_back(state);
    state = stacks_[state].below;
  }
  for (; !open.empty(); open.pop_back()) {
    if (!IsWaiting(FrameOf(open.back()))) continue;
    uint32_t num_slots = 0;
    if (KindOf(FrameOf(open.back())) == FrameKind::kObject) {
      for (const ObjectThread& thread : ObjectFrame::Unpack(FrameOf(open.back())).threads) {
        num_slots = std::max(num_slots, thread.child + 1);
      }
    } else {
      for (const ArrayThread& thread : ArrayFrame::Unpack(FrameOf(open.back())).threads) {
        num_slots = std::max(num_slots, thread.child + 1);
      }
    }
    for (uint32_t slot = 0; slot < num_slots; ++slot) {
      after_[{open.back(), slot}] = CostBelow(open.back(), slot, kOffText);
    }
  }
}

int64_t StackMachine::After(uint32_t state, uint32_t slot, uint32_t text) {
  if (state == root_ || state == unknown_ || state == kDead) return 0;
  if (text != kOffText) return CostBelow(state, slot, text);
  return after_[{state, slot}];
}

int64_t StackMachine::CostBelow(uint32_t state, uint32_t slot, uint32_t text) {
  const uint32_t below = stacks_[state].below;
  const auto after = [&](uint32_t outer, uint32_t) {
    return below == root_ || below == unknown_ ? 0 : after_[{below, outer}];
  };
  const absl::Span<const uint32_t> frame = FrameOf(state);
  if (KindOf(frame) == FrameKind::kObject) {
    return objects_.CostAfter(ObjectFrame::Unpack(frame), slot, after);
  }
  return arrays_.CostAfter(ArrayFrame::Unpack(frame), slot, text, after);
}

size_t StackMachine::MemoryBytes() const {
  return lists_->MemoryBytes() + frames_.MemoryBytes() + stacks_.capacity() * sizeof(Stack) +
         ids_.capacity() * 13 + rows_.size() * sizeof(Row) +
         (distances_.capacity() + after_.capacity()) * 17 + grammar_->MemoryBytes();
}

}  // namespace sdar::grammar
