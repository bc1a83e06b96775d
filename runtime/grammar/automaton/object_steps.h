// SPDX-License-Identifier: Apache-2.0
// Objects, byte by byte.
#pragma once

#include <optional>

#include "runtime/grammar/automaton/object_keys.h"
#include "runtime/grammar/automaton/object_thread_rules.h"
#include "runtime/grammar/automaton/step.h"

namespace sdar::grammar {

// Not thread-safe. What it refers to must outlive it.
class ObjectSteps {
 public:
  ObjectSteps(const JsonGrammar& grammar, SequenceTable& lists)
      : grammar_(grammar), rules_(grammar, lists), keys_(grammar, lists, rules_) {}

  // After the opening brace; `entries` wait for a value of their nodes. Nothing where none takes an
  // object.
  std::optional<ObjectFrame> Begin(absl::Span<const ScalarEntry> entries);
  // Requires: the frame does not wait for a value.
  Step Next(const ObjectFrame& frame, uint8_t byte);
  // The frame after the value that it waited for.
  std::optional<ObjectFrame> Resume(const ObjectFrame& frame, absl::Span<const uint32_t> slots);

  // Bytes of a shortest end. Requires: the frame does not wait.
  int64_t Cost(const ObjectFrame& frame, SlotCost after);
  // The same after the value of `slot` that the frame waits for.
  int64_t CostAfter(const ObjectFrame& frame, uint32_t slot, SlotCost after);
  int Free(const ObjectFrame& frame);

 private:
  Step Open(const ObjectFrame& frame, uint8_t byte);
  Step InKey(const ObjectFrame& frame, uint8_t byte);
  Step AfterKey(const ObjectFrame& frame);
  Step AfterValue(const ObjectFrame& frame, uint8_t byte);
  Step Close(const ObjectFrame& frame);

  const JsonGrammar& grammar_;
  ObjectThreadRules rules_;
  ObjectKeys keys_;
};

}  // namespace sdar::grammar
