// SPDX-License-Identifier: Apache-2.0
// Strings, numbers, literals and texts of their own, byte by byte.
#pragma once

#include <cstdint>

#include "runtime/grammar/automaton/sequence_table.h"
#include "runtime/grammar/automaton/step.h"

namespace sdar::grammar {

// Not thread-safe. What it refers to must outlive it.
class ScalarSteps {
 public:
  ScalarSteps(const JsonGrammar& grammar, SequenceTable& lists)
      : grammar_(grammar), lists_(lists) {}

  // The scalar that `byte` begins where a value has to.
  Step Begin(const ScalarFrame& value, uint8_t byte);
  // Requires: kString, kNumber, kLiteral or kText.
  Step Next(const ScalarFrame& frame, uint8_t byte);
  // A text of its own, or a number that no byte ends, may end here; the slots that take it.
  Slots Ended(const ScalarFrame& frame) const;

  // Bytes of a shortest end. kValue too.
  int64_t Cost(const ScalarFrame& frame, SlotCost after);
  int Free(const ScalarFrame& frame) const;

 private:
  const ScanDfa& DfaOf(const ScalarEntry& entry) const {
    return grammar_.dfas[static_cast<size_t>(entry.target)];
  }
  Step BeginLiteral(const ScalarFrame& value, uint32_t text);
  Step NextString(const ScalarFrame& frame, uint8_t byte);
  Step EndString(const ScalarFrame& frame);
  Step NextPlain(const ScalarFrame& frame, uint8_t byte);
  Step NextLiteral(const ScalarFrame& frame, uint8_t byte);
  bool HasNewText(const ScalarEntry& entry, const ScalarFrame& frame);
  bool IsTaken(uint32_t texts, uint32_t text) const;
  int64_t ValueCost(const ScalarEntry& entry, SlotCost after);
  int64_t StringCost(const ScalarEntry& entry, const ScalarFrame& frame, SlotCost after);
  int64_t ComparedCost(const ScalarEntry& entry, const ScalarFrame& frame, SlotCost after);

  const JsonGrammar& grammar_;
  SequenceTable& lists_;
};

}  // namespace sdar::grammar
