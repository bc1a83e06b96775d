// SPDX-License-Identifier: Apache-2.0
// The tokens whose bytes may follow a state of an automaton.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "runtime/grammar/automaton/automaton.h"
#include "runtime/grammar/tokens/token_bits.h"
#include "runtime/grammar/tokens/vocabulary.h"

namespace sdar::grammar {

// Remembers what it found, up to kMaxCachedBytes. Not thread-safe.
class ByteMasks {
 public:
  static constexpr size_t kMaxCachedBytes = size_t{32} << 20;

  // Requires: both outlive this.
  ByteMasks(const Vocabulary& vocabulary, Automaton& automaton)
      : vocabulary_(vocabulary), automaton_(automaton) {}

  // The bits of the tokens that lead from `state` to one that is not dead. Requires: a state that
  // is neither dead, open nor floating. Valid until the next call.
  const TokenBits& Of(StateId state);

  size_t MemoryBytes() const { return cached_bytes_; }

 private:
  // What the top frame says, whatever lies below.
  struct OfFrame {
    TokenBits allowed;
    TokenTrie open;  // tokens that leave the frame
    size_t bytes = 0;
  };
  using Walk = std::vector<StateId>;  // by depth

  const OfFrame& FrameOf(StateId floating);
  void WalkFrame(const TokenTrie& trie, StateId floating, TokenBits& allowed,
                 std::vector<std::pair<absl::string_view, TokenId>>& open);
  void WalkState(const TokenTrie& trie, StateId state, TokenBits& allowed);
  void Trim();

  const Vocabulary& vocabulary_;
  Automaton& automaton_;
  absl::flat_hash_map<StateId, std::unique_ptr<OfFrame>> frames_;
  size_t cached_bytes_ = 0;
  TokenBits bits_;
  Walk walk_;
};

}  // namespace sdar::grammar
