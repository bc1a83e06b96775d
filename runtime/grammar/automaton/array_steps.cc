// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/array_steps.h"

#include <algorithm>
#include <tuple>

namespace sdar::grammar {
namespace {

void JoinArrayThreads(std::vector<ArrayThread>& threads) {
  const auto less = [](const ArrayThread& a, const ArrayThread& b) {
    return std::tie(a.rule, a.slot, a.child, a.index, a.texts) <
           std::tie(b.rule, b.slot, b.child, b.index, b.texts);
  };
  std::sort(threads.begin(), threads.end(), less);
  threads.erase(std::unique(threads.begin(), threads.end()), threads.end());
}

}  // namespace

std::vector<int64_t> CheapestDistinct(const JsonGrammar& grammar, NodeIndex node,
                                      absl::Span<const uint32_t> texts, SequenceTable& lists,
                                      size_t count) {
  const ValueNode& value = grammar.nodes[static_cast<size_t>(node)];
  const auto is_new = [&](absl::Span<const uint32_t> text) {
    return !std::binary_search(texts.begin(), texts.end(), lists.Intern(text));
  };
  std::vector<int64_t> costs;
  if (value.takes_null && is_new({kNullText})) costs.push_back(4);
  if (value.takes_true && is_new({kTrueText})) costs.push_back(4);
  if (value.takes_false && is_new({kFalseText})) costs.push_back(5);
  if (value.string != kNoDfa) {
    const ScanDfa& dfa = grammar.dfas[static_cast<size_t>(value.string)];
    std::vector<uint32_t> text;
    for (const CheapWord& word :
         dfa.CheapestWords(dfa.start(), kNoCharacter, static_cast<int>(count + texts.size()))) {
      text.assign(word.text.begin(), word.text.end());
      if (is_new(text)) costs.push_back(word.cost + 2);
    }
  }
  std::sort(costs.begin(), costs.end());
  if (costs.size() > count) costs.resize(count);
  return costs;
}

std::optional<ArrayFrame> ArraySteps::Begin(absl::Span<const ScalarEntry> entries) {
  ArrayFrame frame;
  for (const ScalarEntry& entry : entries) {
    for (const int rule : grammar_.nodes[static_cast<size_t>(entry.target)].arrays) {
      frame.threads.push_back({static_cast<uint32_t>(rule), entry.slot, 0, 0, 0});
    }
  }
  if (frame.threads.empty()) return std::nullopt;
  JoinArrayThreads(frame.threads);
  return frame;
}

bool ArraySteps::IsComplete(const ArrayThread& thread) const {
  const ArrayRule& rule = RuleOf(thread);
  if (!rule.graph.empty()) return rule.graph[thread.index].accepts;
  return int64_t{thread.index} >= rule.min;
}

void ArraySteps::AddOptions(const ArrayThread& thread, std::vector<Option>& options) const {
  const ArrayRule& rule = RuleOf(thread);
  ArrayThread next = thread;
  if (!rule.graph.empty()) {
    for (const ArrayStep& step : rule.graph[thread.index].steps) {
      next.index = static_cast<uint32_t>(step.target);
      options.emplace_back(step.node, next);
    }
    return;
  }
  if (rule.max >= 0 && int64_t{thread.index} >= rule.max) return;
  const bool in_prefix = thread.index < rule.prefix.size();
  const NodeIndex node = in_prefix ? rule.prefix[thread.index] : rule.rest;
  if (node == kNoNode) return;
  if (rule.unique &&
      CheapestDistinct(grammar_, node, lists_.Get(thread.texts), lists_, 1).empty()) {
    return;
  }
  if (in_prefix || int64_t{thread.index} < std::max(rule.min, rule.max)) ++next.index;
  if (next.index == 0) next.index = 1;
  options.emplace_back(node, next);
}

Step ArraySteps::Next(const ArrayFrame& frame, uint8_t byte) {
  if (const int blanks = StepBlank(frame.at, byte); blanks >= 0) {
    ArrayFrame next = frame;
    next.at = static_cast<uint32_t>(blanks);
    return Step::Replace(next.Pack());
  }
  if (byte == ']') {
    Step step;
    for (const ArrayThread& thread : frame.threads) {
      if (IsComplete(thread)) step.slots.push_back(thread.slot);
    }
    if (!step.slots.empty()) step.kind = Step::kPop;
    return step;
  }
  if (frame.phase == ArrayPhase::kOpen) {
    Step step = PushElement(frame);
    step.again = true;
    return step;
  }
  return byte == ',' ? PushElement(frame) : Step();
}

// The readings that want an element of the same node, and differ from the same texts, wait for the
// same slot.
Step ArraySteps::PushElement(const ArrayFrame& frame) {
  std::vector<Option> options;
  for (const ArrayThread& thread : frame.threads) AddOptions(thread, options);
  Step step;
  if (options.empty()) return step;
  ArrayFrame waiting;
  waiting.phase = ArrayPhase::kWaiting;
  ScalarFrame value;
  for (auto& [node, thread] : options) {
    const uint32_t texts = RuleOf(thread).unique ? thread.texts : kNoTexts;
    uint32_t slot = 0;
    while (slot < value.entries.size() &&
           (value.entries[slot].target != node || value.entries[slot].texts != texts)) {
      ++slot;
    }
    if (slot == value.entries.size()) value.entries.push_back({slot, node, 0, texts});
    thread.child = slot;
    waiting.threads.push_back(thread);
  }
  JoinArrayThreads(waiting.threads);
  step.kind = Step::kPush;
  step.frame = waiting.Pack();
  step.above = value.Pack();
  return step;
}

void ArraySteps::AddText(ArrayThread& thread, uint32_t text) {
  if (!RuleOf(thread).unique || text == kOffText) return;
  const absl::Span<const uint32_t> old = lists_.Get(thread.texts);
  std::vector<uint32_t> joined(old.begin(), old.end());
  joined.insert(std::lower_bound(joined.begin(), joined.end(), text), text);
  thread.texts = lists_.Intern(joined);
}

std::optional<ArrayFrame> ArraySteps::Resume(const ArrayFrame& frame,
                                             absl::Span<const uint32_t> slots, uint32_t text) {
  ArrayFrame next;
  next.phase = ArrayPhase::kAfterValue;
  for (ArrayThread thread : frame.threads) {
    if (std::find(slots.begin(), slots.end(), thread.child) == slots.end()) continue;
    AddText(thread, text);
    thread.child = 0;
    next.threads.push_back(thread);
  }
  if (next.threads.empty()) return std::nullopt;
  JoinArrayThreads(next.threads);
  return next;
}

int64_t ArraySteps::FinishDistinct(const ArrayThread& thread, int64_t missing) {
  const std::vector<int64_t> costs =
      CheapestDistinct(grammar_, RuleOf(thread).rest, lists_.Get(thread.texts), lists_,
                       static_cast<size_t>(missing));
  if (static_cast<int64_t>(costs.size()) < missing) return kNever;
  int64_t sum = missing;
  for (const int64_t cost : costs) sum += cost;
  return sum;
}

// Bytes of the elements that have to come, a comma before each but the first of all, and of the
// bracket.
int64_t ArraySteps::Finish(const ArrayThread& thread, bool is_empty) {
  const ArrayRule& rule = RuleOf(thread);
  int64_t cost = 0;
  if (!rule.graph.empty()) {
    cost = rule.graph[thread.index].least;
  } else {
    const auto prefix = static_cast<int64_t>(rule.prefix.size());
    int64_t at = thread.index;
    for (; at < rule.min && at < prefix; ++at) {
      cost += 1 + grammar_.nodes[static_cast<size_t>(rule.prefix[static_cast<size_t>(at)])].least;
    }
    if (at < rule.min && rule.unique) {
      cost += FinishDistinct(thread, rule.min - at);
    } else if (at < rule.min) {
      const int64_t least = grammar_.nodes[static_cast<size_t>(rule.rest)].least;
      cost = least >= kNever ? kNever : cost + (rule.min - at) * (1 + least);
    }
  }
  return std::min(kNever, cost + 1 - (is_empty && cost > 0 ? 1 : 0));
}

int64_t ArraySteps::Cost(const ArrayFrame& frame, SlotCost after) {
  int64_t least = kNever;
  for (const ArrayThread& thread : frame.threads) {
    least = std::min(
        least, Finish(thread, frame.phase == ArrayPhase::kOpen) + after(thread.slot, kOffText));
  }
  return least;
}

int64_t ArraySteps::CostAfter(const ArrayFrame& frame, uint32_t slot, uint32_t text,
                              SlotCost after) {
  int64_t least = kNever;
  for (ArrayThread thread : frame.threads) {
    if (thread.child != slot) continue;
    AddText(thread, text);
    least = std::min(least, Finish(thread, false) + after(thread.slot, kOffText));
  }
  return least;
}

}  // namespace sdar::grammar
