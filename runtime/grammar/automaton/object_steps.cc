// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/object_steps.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace sdar::grammar {
namespace {

// Readings that came to the same are one.
void JoinThreads(std::vector<ObjectThread>& threads) {
  const auto less = [](const ObjectThread& a, const ObjectThread& b) {
    return std::tie(a.rule, a.slot, a.child, a.count, a.seen, a.names, a.witnesses) <
           std::tie(b.rule, b.slot, b.child, b.count, b.seen, b.names, b.witnesses);
  };
  std::sort(threads.begin(), threads.end(), less);
  threads.erase(std::unique(threads.begin(), threads.end()), threads.end());
}

Step ReplaceBy(const ObjectFrame& frame) {
  return frame.threads.empty() ? Step() : Step::Replace(frame.Pack());
}

}  // namespace

std::optional<ObjectFrame> ObjectSteps::Begin(absl::Span<const ScalarEntry> entries) {
  ObjectFrame frame;
  for (const ScalarEntry& entry : entries) {
    for (const int rule : grammar_.nodes[static_cast<size_t>(entry.target)].objects) {
      frame.threads.push_back(rules_.Begin(rule, entry.slot));
    }
  }
  if (frame.threads.empty()) return std::nullopt;
  JoinThreads(frame.threads);
  return frame;
}

Step ObjectSteps::Next(const ObjectFrame& frame, uint8_t byte) {
  if (frame.phase == ObjectPhase::kKey) return InKey(frame, byte);
  if (const int blanks = StepBlank(frame.at, byte); blanks >= 0) {
    ObjectFrame next = frame;
    next.at = static_cast<uint32_t>(blanks);
    return Step::Replace(next.Pack());
  }
  switch (frame.phase) {
    case ObjectPhase::kOpen:
      return byte == '}' ? Close(frame) : Open(frame, byte);
    case ObjectPhase::kNext:
      return Open(frame, byte);
    case ObjectPhase::kAfterKey:
      return byte == ':' ? AfterKey(frame) : Step();
    case ObjectPhase::kAfterValue:
      return AfterValue(frame, byte);
    default:
      return {};
  }
}

Step ObjectSteps::Open(const ObjectFrame& frame, uint8_t byte) {
  return byte == '"' ? ReplaceBy(keys_.Begin(frame)) : Step();
}

Step ObjectSteps::InKey(const ObjectFrame& frame, uint8_t byte) {
  if (byte != '"' || frame.at != kNoCharacter) return ReplaceBy(keys_.Next(frame, byte));
  ObjectFrame ended = keys_.End(frame);
  JoinThreads(ended.threads);
  return ReplaceBy(ended);
}

// The readings that want a value of the same node wait for the same slot.
Step ObjectSteps::AfterKey(const ObjectFrame& frame) {
  ObjectFrame waiting = frame;
  waiting.phase = ObjectPhase::kWaiting;
  waiting.at = 0;
  std::vector<uint32_t> nodes;
  for (const ObjectThread& thread : frame.threads) nodes.push_back(thread.child);
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  for (ObjectThread& thread : waiting.threads) {
    thread.child = static_cast<uint32_t>(
        std::lower_bound(nodes.begin(), nodes.end(), thread.child) - nodes.begin());
  }
  ScalarFrame value;
  for (size_t slot = 0; slot < nodes.size(); ++slot) {
    value.entries.push_back(
        {static_cast<uint32_t>(slot), static_cast<int32_t>(nodes[slot]), 0, kNoTexts});
  }
  Step step;
  step.kind = Step::kPush;
  step.frame = waiting.Pack();
  step.above = value.Pack();
  return step;
}

Step ObjectSteps::AfterValue(const ObjectFrame& frame, uint8_t byte) {
  if (byte == '}') return Close(frame);
  if (byte != ',') return {};
  ObjectFrame next = frame;
  next.phase = ObjectPhase::kNext;
  next.at = 0;
  std::erase_if(next.threads, [&](const ObjectThread& thread) { return !rules_.CanAdd(thread); });
  return ReplaceBy(next);
}

Step ObjectSteps::Close(const ObjectFrame& frame) {
  Step step;
  for (const ObjectThread& thread : frame.threads) {
    if (rules_.IsComplete(thread)) step.slots.push_back(thread.slot);
  }
  if (!step.slots.empty()) step.kind = Step::kPop;
  return step;
}

std::optional<ObjectFrame> ObjectSteps::Resume(const ObjectFrame& frame,
                                               absl::Span<const uint32_t> slots) {
  ObjectFrame next;
  next.phase = ObjectPhase::kAfterValue;
  for (const ObjectThread& thread : frame.threads) {
    if (std::find(slots.begin(), slots.end(), thread.child) == slots.end()) continue;
    next.threads.push_back(thread);
    next.threads.back().child = 0;
  }
  if (next.threads.empty()) return std::nullopt;
  JoinThreads(next.threads);
  return next;
}

int64_t ObjectSteps::Cost(const ObjectFrame& frame, SlotCost after) {
  if (frame.phase == ObjectPhase::kKey) return keys_.Cost(frame, after);
  if (frame.phase == ObjectPhase::kNext) {
    return 1 + keys_.Cost(keys_.Begin(frame), after);  // the quote of the key that has to follow
  }
  int64_t least = kNever;
  for (const ObjectThread& thread : frame.threads) {
    int64_t cost = rules_.Finish(thread) + after(thread.slot, kOffText);
    if (frame.phase == ObjectPhase::kAfterKey) cost += 1 + grammar_.nodes[thread.child].least;
    least = std::min(least, cost);
  }
  return least;
}

int64_t ObjectSteps::CostAfter(const ObjectFrame& frame, uint32_t slot, SlotCost after) {
  int64_t least = kNever;
  for (const ObjectThread& thread : frame.threads) {
    if (thread.child != slot) continue;
    least = std::min(least, rules_.Finish(thread) + after(thread.slot, kOffText));
  }
  return least;
}

int ObjectSteps::Free(const ObjectFrame& frame) {
  return frame.phase == ObjectPhase::kKey ? keys_.Free(frame) : 0;
}

}  // namespace sdar::grammar
