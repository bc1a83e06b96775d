// SPDX-License-Identifier: Apache-2.0
// The active block of a sequence: which positions are still masked, and what the others hold.
#pragma once

#include <vector>

#include "absl/types/span.h"

#include "common/ids.h"
#include "runtime/diffusion/remasking.h"
#include "runtime/diffusion/sampler.h"

namespace sdar {

// A token with the logarithm of its probability.
struct TokenLogprob {
  TokenId id = kNoToken;
  double logprob = 0;
};

// What is known of a revealed token.
struct RevealedToken {
  TokenId id = kNoToken;
  double logprob = 0;  // ln P[id] at the step of its reveal
  double entropy = 0;  // of P at that step
  int step = 0;
  std::vector<TokenLogprob> top;  // the most probable ids at that step, as many as were asked for
  bool greedy = false;            // of a target: greedy decoding would have chosen it
};

// Starts with some positions given (a prompt remainder) and the rest masked. Masked positions are
// kept as such, never recognised by token id; a revealed or given token never changes. Not
// thread-safe.
class BlockState {
 public:
  // Requires: given.size() < block_length.
  BlockState(int block_length, absl::Span<const TokenId> given, TokenId mask_token);

  int block_length() const { return static_cast<int>(tokens_.size()); }
  int step() const { return step_; }
  int num_given() const { return num_given_; }
  bool IsMasked(int position) const { return masked_[static_cast<size_t>(position)]; }
  bool IsDone() const { return masked_positions_.empty(); }
  // Ascending; valid until Advance.
  absl::Span<const int> MaskedPositions() const { return masked_positions_; }
  // What the forward pass sees: the mask token at masked positions.
  absl::Span<const TokenId> token_ids() const { return token_ids_; }
  // Positions up to the first masked one are final.
  int FinalPrefix() const;
  const RevealedToken& token(int position) const { return tokens_[static_cast<size_t>(position)]; }

  // The positions that the strategy reveals in this step, ascending. choices: as of Advance.
  std::vector<int> Due(const RemaskingOptions& options, absl::Span<const Choice> choices) const;
  // Chooses positions by the strategy, reveals their choices and moves to the next step. choices:
  // one per masked position, ascending. Returns the revealed positions.
  std::vector<int> Advance(const RemaskingOptions& options, absl::Span<const Choice> choices);
  // Advance with positions that are chosen already. Requires: reveals are masked positions,
  // ascending.
  void Reveal(absl::Span<const int> reveals, absl::Span<const Choice> choices);

  // Whether both have the same step, the same masked positions and the same tokens at the others:
  // then they look the same to the model and to the remasking rule.
  bool SameState(const BlockState& other) const {
    return step_ == other.step_ && masked_ == other.masked_ && token_ids_ == other.token_ids_;
  }

  // Attaches the alternatives of a position revealed in the last Advance.
  void SetTop(int position, std::vector<TokenLogprob> top) {
    tokens_[static_cast<size_t>(position)].top = std::move(top);
  }

 private:
  std::vector<RevealedToken> tokens_;
  std::vector<TokenId> token_ids_;
  std::vector<bool> masked_;
  std::vector<int> masked_positions_;
  int num_given_;
  int step_ = 0;
};

}  // namespace sdar
