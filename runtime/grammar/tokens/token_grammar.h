// SPDX-License-Identifier: Apache-2.0
// A grammar lifted from bytes to the tokens of a vocabulary.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

#include "common/ids.h"
#include "runtime/grammar/automaton/automaton.h"
#include "runtime/grammar/tokens/byte_masks.h"
#include "runtime/grammar/tokens/shortest_text.h"
#include "runtime/grammar/tokens/token_bits.h"
#include "runtime/grammar/tokens/vocabulary.h"

namespace sdar::grammar {

// A state between two tokens of an answer.
using TokenState = StrongId<struct TokenStateTag, uint32_t>;
// Nothing that begins this way can become valid.
inline constexpr TokenState kDeadTokenState{0};
// The answer has ended: everything is allowed, nothing counts.
inline constexpr TokenState kDoneTokenState{1};

// The ids that may follow a state.
struct TokenMask {
  uint64_t id = 0;  // equal bits have equal ids; others hardly ever
  TokenBits bits;
  bool Has(TokenId token) const { return HasBit(bits, token); }
};

// What an answer consists of: thinking, then text, or calls of tools, or both. Special ids move by
// this alone; a text has only tokens with bytes.
struct Envelope {
  std::unique_ptr<Automaton> text;  // null: no text but white space around calls
  std::unique_ptr<Automaton> call;  // what stands between call_begin and call_end; null: no calls
  bool text_and_calls = false;      // text may stand before, between and after calls
  bool many_calls = true;
  bool any_text = false;  // `text` accepts everything, and there are no calls
  TokenId call_begin = -1;
  TokenId call_end = -1;
  TokenId thinking_end = -1;        // -1: the answer has no thinking
  std::vector<TokenId> text_marks;  // special ids that may stand in a text among calls
  std::vector<TokenId> end_tokens;  // ascending, at least one
};

// Laws: from every state but kDeadTokenState an end token can be reached. A state that is not dead
// has LeastTokens(s) tokens that lead to one where the answer may end. Thread-safe: a call holds a
// lock for as long as it takes.
class TokenGrammar {
 public:
  // Requires: there is `text` or `call`; the starts of both are not dead; ids are below the
  // vocabulary's size; with `call` there are call_begin and call_end.
  TokenGrammar(std::shared_ptr<const Vocabulary> vocabulary, Envelope envelope);

  TokenState start() const { return start_; }
  TokenState Next(TokenState state, TokenId token);
  // End tokens are allowed here; they lead to kDoneTokenState.
  bool MayEnd(TokenState state);
  absl::Span<const TokenId> end_tokens() const { return envelope_.end_tokens; }
  // The number of tokens before an end token may follow, along a shortest text; 0 where MayEnd, and
  // when done.
  int64_t LeastTokens(TokenState state);
  // Whether that is less than `limit`. Cheap where it is far less.
  bool EndsBefore(TokenState state, int64_t limit);
  // LeastTokens(state) tokens. Each leads to a state whose LeastTokens is less by at least 1.
  std::vector<TokenId> ShortestEnd(TokenState state);
  // Ids that lead to a state that is not dead, end tokens among them where MayEnd.
  std::shared_ptr<const TokenMask> Mask(TokenState state);
  // Whether every valid answer that has come to `state` goes on with the bytes of `token`, or ends,
  // where it is an end token.
  bool IsForced(TokenState state, TokenId token);
  // Every token is allowed here and in all states that follow, and an answer may stop anywhere.
  bool AllowsAll(TokenState state);

  size_t MemoryBytes();

 private:
  // Where a state stands.
  enum class Place : uint8_t {
    kDead,
    kDone,
    kThinking,  // before thinking_end
    kOutside,   // before, between and after calls; where `text` may begin, if nothing has
    kText,      // in the text
    kCall,      // between call_begin and call_end
  };
  struct Node {
    Place place = Place::kDead;
    StateId bytes = kDeadState;  // of `text` or `call`
    uint8_t spaces = 0;          // kOutside: tokens of white space that may still follow
    bool called = false;         // a call was made
    friend bool operator==(const Node&, const Node&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Node& n) {
      return H::combine(std::move(h), n.place, n.bytes, n.spaces, n.called);
    }
  };
  // An automaton with what is computed of it.
  struct Part {
    Part(const Vocabulary& vocabulary, Automaton& of)
        : automaton(of), masks(vocabulary, of), shortest(vocabulary, of) {}
    Automaton& automaton;
    ByteMasks masks;
    ShortestText shortest;
  };

  TokenState Intern(const Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const Node& At(TokenState state) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return nodes_[state.value()];
  }
  Node StartNode(bool after_thinking) const;
  Node AfterCall() const;
  Node NextOf(const Node& node, TokenId token) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Node NextOutside(const Node& node, TokenId token) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StateId Walk(Automaton& automaton, StateId state, TokenId token) const;
  bool IsEnd(TokenId token) const;
  bool IsTextMark(TokenId token) const;
  bool MayCall(const Node& node) const;
  bool MayBeginText(const Node& node) const;
  bool MayEndAt(const Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t LeastOf(const Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the shortest end of a state outside text and calls is text.
  bool EndsByText(const Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Part* PartOf(const Node& node) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddNext(const Node& node, TokenBits& bits) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<const Vocabulary> vocabulary_;
  absl::Mutex mutex_;
  const Envelope envelope_;
  std::unique_ptr<Part> text_ ABSL_PT_GUARDED_BY(mutex_);
  std::unique_ptr<Part> call_ ABSL_PT_GUARDED_BY(mutex_);
  std::vector<Node> nodes_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Node, TokenState> index_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<TokenState, std::shared_ptr<const TokenMask>> masks_ ABSL_GUARDED_BY(mutex_);
  TokenState start_;
};

}  // namespace sdar::grammar
