// SPDX-License-Identifier: Apache-2.0
// The key of a property while it is read, for all readings of the object at once.
#pragma once

#include <cstdint>
#include <utility>

#include "runtime/grammar/automaton/object_thread_rules.h"
#include "runtime/grammar/automaton/step.h"

namespace sdar::grammar {

// Not thread-safe. `rules` and what it refers to must outlive it.
class ObjectKeys {
 public:
  ObjectKeys(const JsonGrammar& grammar, SequenceTable& lists, ObjectThreadRules& rules)
      : grammar_(grammar), lists_(lists), rules_(rules) {}

  // The frame after the opening quote. Requires: some thread can add a property.
  ObjectFrame Begin(const ObjectFrame& frame);
  // The frame after a byte that is not the closing quote; without threads: dead.
  ObjectFrame Next(const ObjectFrame& frame, uint8_t byte);
  // The frame after the closing quote; without threads: dead.
  ObjectFrame End(const ObjectFrame& frame);

  // Bytes of a shortest end of the object, and of all after it.
  int64_t Cost(const ObjectFrame& frame, SlotCost after);
  // As Automaton::FreeCharacters.
  int Free(const ObjectFrame& frame);

 private:
  using Text = absl::Span<const uint32_t>;
  std::pair<size_t, size_t> NamedWith(const ObjectRule& rule, uint32_t text) const;
  bool IsAlive(const ObjectThread& thread, uint32_t text, BegunCharacter begun);
  bool NamedAlive(const ObjectThread& thread, uint32_t text, BegunCharacter begun);
  bool OtherAlive(const ObjectThread& thread, uint32_t text, BegunCharacter begun);
  bool HasNewWord(const ObjectThread& thread, size_t name_class, int32_t state, uint32_t text,
                  BegunCharacter begun);
  bool StateHasNewWord(const ObjectThread& thread, const ScanDfa& dfa, int32_t state, Text text);
  int NumForbiddenWith(const ObjectThread& thread, const ScanDfa& dfa, int32_t state,
                       Text text) const;
  bool NeedsText(const ObjectThread& thread, uint32_t text) const;
  void AddEnded(const ObjectThread& thread, uint32_t text, ObjectFrame& ended);
  void AddOther(const ObjectThread& thread, int name_class, uint32_t text, ObjectFrame& ended);
  int64_t EndCost(const ObjectThread& thread, uint32_t text, SlotCost after);
  int64_t NamedCost(const ObjectThread& thread, uint32_t text, BegunCharacter begun,
                    SlotCost after);
  int64_t ClassCost(const ObjectThread& thread, size_t name_class, const ObjectFrame& frame,
                    SlotCost after);
  int64_t UnnamedCost(const ObjectRule& rule, uint32_t text, BegunCharacter begun) const;
  int64_t RememberedCost(const ObjectThread& thread, size_t name_class, const ObjectFrame& frame,
                         SlotCost after);
  void Advance(const NameClass& name_class, absl::Span<const char32_t> text, int32_t& state) const;
  bool IsNamed(const ObjectRule& rule, Text text) const;

  const JsonGrammar& grammar_;
  SequenceTable& lists_;
  ObjectThreadRules& rules_;
};

}  // namespace sdar::grammar
