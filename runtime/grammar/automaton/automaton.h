// SPDX-License-Identifier: Apache-2.0
// A deterministic automaton over the bytes of an answer, built as it is visited.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/ids.h"

namespace sdar::grammar {

class Dfa;
class StackMachine;
struct JsonGrammar;

// A state of an Automaton: a stack of frames. Equal states are one id, for the automaton's whole
// life.
using StateId = StrongId<struct StateIdTag, uint32_t>;
// Nothing that begins this way can become valid.
inline constexpr StateId kDeadState{0};
// What follows depends on the frames below those of a floating state.
inline constexpr StateId kOpenState{1};

// Laws: from every state but kDeadState an accepting state can be reached; Distance(s) is 0 exactly
// where s accepts; from any other state some byte leads to one whose distance is less by at least
// 1. Not thread-safe.
class Automaton {
 public:
  // The texts of a regular language, in UTF-8.
  explicit Automaton(Dfa texts);
  // The texts that are a JSON value of the grammar's root, with white space inside it only.
  explicit Automaton(std::shared_ptr<const JsonGrammar> grammar);
  Automaton(Automaton&&) noexcept;
  Automaton& operator=(Automaton&&) noexcept;
  ~Automaton();

  // Lets white space stand before and after a JSON value, as much as between its tokens. To be
  // called before anything else, where it is.
  void AllowSpaceAround();

  // kDeadState: no text is valid.
  StateId start() const;
  StateId Next(StateId state, uint8_t byte);
  // The text may end here.
  bool Accepts(StateId state) const;
  // Bytes to an accepting state along a shortest way. Requires: a state that is neither dead, open
  // nor floating.
  int64_t Distance(StateId state);

  // The top frame of `state` above frames that are not known. States with the same top frame have
  // the same floating state, so what is computed of it serves them all. Next of a floating state is
  // floating, dead (whatever lies below), or open.
  StateId Floating(StateId state);
  // So many characters may follow in a row, whatever they are, as long as each is UTF-8 of a
  // character that needs no escape in a JSON string; 0 outside strings, INT_MAX without a limit. Of
  // floating states too.
  int FreeCharacters(StateId state);

  // Bytes that its states take.
  size_t MemoryBytes() const;

 private:
  std::unique_ptr<StackMachine> machine_;
};

}  // namespace sdar::grammar
