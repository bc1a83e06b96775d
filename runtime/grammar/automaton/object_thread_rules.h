// SPDX-License-Identifier: Apache-2.0
// Which properties one reading of an object may still take, and what it costs to complete it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/grammar/automaton/frame.h"
#include "runtime/grammar/automaton/json_grammar.h"
#include "runtime/grammar/automaton/sequence_table.h"

namespace sdar::grammar {

// Not thread-safe: it writes to the table of lists. Both must outlive it.
class ObjectThreadRules {
 public:
  ObjectThreadRules(const JsonGrammar& grammar, SequenceTable& lists)
      : grammar_(grammar), lists_(lists) {}

  // A reading of an empty object. Threads that begin can be completed, and stay so.
  ObjectThread Begin(int rule, uint32_t slot);
  const ObjectRule& RuleOf(const ObjectThread& thread) const {
    return grammar_.objects[thread.rule];
  }

  // The thread with one more property; nothing where it could not be completed then.
  std::optional<ObjectThread> AddNamed(const ObjectThread& thread, size_t place);
  // `witness`: the one that this property is to be, -1 for none. `text` is needed by threads that
  // Remember.
  std::optional<ObjectThread> AddOther(const ObjectThread& thread, int name_class, uint32_t text,
                                       int witness);
  // Some property can be added.
  bool CanAdd(const ObjectThread& thread);
  bool CanAddNamed(const ObjectThread& thread, size_t place);
  bool CanAddOther(const ObjectThread& thread);
  bool CanAddClass(const ObjectThread& thread, int name_class);
  // The object may end.
  bool IsComplete(const ObjectThread& thread);
  // Names outside the rule's are compared.
  bool Remembers(const ObjectThread& thread) const;

  // Bytes of a shortest end of the object, the brace with it: a comma stands before each property,
  // but before the first of an object that is empty so far.
  int64_t Finish(const ObjectThread& thread);

  bool IsSeen(const ObjectThread& thread, size_t place) const;
  bool IsForbidden(const ObjectThread& thread, uint32_t text) const;

 private:
  struct Needs {
    int64_t count = 0;  // of properties
    int64_t cost = 0;   // with a comma before each
    std::vector<bool> named;
  };
  int64_t PropertyCost(const PropertyRule& property) const;
  Needs NeedsOf(const ObjectThread& thread) const;
  int64_t NumOutstanding(const ObjectThread& thread) const {
    return RuleOf(thread).covers[RuleOf(thread).wants & ~thread.witnesses];
  }
  int64_t NumMissing(const ObjectThread& thread) const;
  bool Fits(const ObjectThread& thread) const;
  void Count(ObjectThread& thread) const;
  int64_t FinishWith(const ObjectThread& thread, uint32_t wants, const Needs& needs,
                     const std::vector<size_t>& used);
  int64_t ExtraCost(const ObjectThread& thread, const Needs& needs, int64_t extra,
                    std::vector<size_t>& used);
  int64_t CheapestName(const ObjectThread& thread, size_t name_class, size_t rank);

  const JsonGrammar& grammar_;
  SequenceTable& lists_;
  std::map<std::pair<int, size_t>, std::vector<CheapWord>> cheapest_;  // by ScanDfa and how many
};

}  // namespace sdar::grammar
