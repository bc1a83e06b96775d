// SPDX-License-Identifier: Apache-2.0
// Arrays, byte by byte.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "runtime/grammar/automaton/sequence_table.h"
#include "runtime/grammar/automaton/step.h"

namespace sdar::grammar {

// Not thread-safe. What it refers to must outlive it.
class ArraySteps {
 public:
  ArraySteps(const JsonGrammar& grammar, SequenceTable& lists) : grammar_(grammar), lists_(lists) {}

  // After the opening bracket; `entries` wait for a value of their nodes. Nothing where none takes
  // an array.
  std::optional<ArrayFrame> Begin(absl::Span<const ScalarEntry> entries);
  // Requires: the frame does not wait for an element.
  Step Next(const ArrayFrame& frame, uint8_t byte);
  // The frame after the element that it waited for.
  std::optional<ArrayFrame> Resume(const ArrayFrame& frame, absl::Span<const uint32_t> slots,
                                   uint32_t text);

  // Bytes of a shortest end. Requires: the frame does not wait.
  int64_t Cost(const ArrayFrame& frame, SlotCost after);
  // The same after the element of `slot`, which is `text` where elements are compared.
  int64_t CostAfter(const ArrayFrame& frame, uint32_t slot, uint32_t text, SlotCost after);

 private:
  // A reading of the next element: its node, and the thread after it.
  using Option = std::pair<NodeIndex, ArrayThread>;
  const ArrayRule& RuleOf(const ArrayThread& thread) const { return grammar_.arrays[thread.rule]; }
  bool IsComplete(const ArrayThread& thread) const;
  void AddOptions(const ArrayThread& thread, std::vector<Option>& options) const;
  Step PushElement(const ArrayFrame& frame);
  int64_t Finish(const ArrayThread& thread, bool is_empty);
  int64_t FinishDistinct(const ArrayThread& thread, int64_t missing);
  void AddText(ArrayThread& thread, uint32_t text);

  const JsonGrammar& grammar_;
  SequenceTable& lists_;
};

// A node has a value besides `texts`; the elements of rules that are unique. `least`: bytes of the
// cheapest such values, up to `count`.
std::vector<int64_t> CheapestDistinct(const JsonGrammar& grammar, NodeIndex node,
                                      absl::Span<const uint32_t> texts, SequenceTable& lists,
                                      size_t count);

}  // namespace sdar::grammar
