// SPDX-License-Identifier: Apache-2.0
#include "runtime/diffusion/block_state.h"

#include <numeric>

#include "absl/container/inlined_vector.h"

#include "common/status_macros.h"

namespace sdar {

BlockState::BlockState(int block_length, absl::Span<const TokenId> given, TokenId mask_token)
    : tokens_(static_cast<size_t>(block_length)),
      token_ids_(static_cast<size_t>(block_length), mask_token),
      masked_(static_cast<size_t>(block_length), true),
      masked_positions_(static_cast<size_t>(block_length) - given.size()),
      num_given_(static_cast<int>(given.size())) {
  SDAR_CHECK(num_given_ < block_length);
  for (size_t i = 0; i < given.size(); ++i) {
    tokens_[i].id = token_ids_[i] = given[i];
    masked_[i] = false;
  }
  std::iota(masked_positions_.begin(), masked_positions_.end(), num_given_);
}

int BlockState::FinalPrefix() const {
  int end = 0;
  while (end < block_length() && !IsMasked(end)) ++end;
  return end;
}

std::vector<int> BlockState::Due(const RemaskingOptions& options,
                                 absl::Span<const Choice> choices) const {
  SDAR_CHECK(choices.size() == masked_positions_.size());
  absl::InlinedVector<MaskedPosition, 16> masked;
  for (size_t i = 0; i < choices.size(); ++i) {
    masked.push_back({masked_positions_[i], choices[i].confidence, choices[i].entropy});
  }
  return SelectReveals(options, step_, masked);
}

std::vector<int> BlockState::Advance(const RemaskingOptions& options,
                                     absl::Span<const Choice> choices) {
  std::vector<int> reveals = Due(options, choices);
  Reveal(reveals, choices);
  return reveals;
}

void BlockState::Reveal(absl::Span<const int> reveals, absl::Span<const Choice> choices) {
  size_t next = 0, left = 0;
  for (size_t i = 0; i < choices.size(); ++i) {
    const int position = masked_positions_[i];
    if (next == reveals.size() || position != reveals[next]) {
      masked_positions_[left++] = position;
      continue;
    }
    const auto at = static_cast<size_t>(position);
    tokens_[at] = {choices[i].id, choices[i].logprob, choices[i].entropy, step_, {}};
    token_ids_[at] = choices[i].id;
    masked_[at] = false;
    ++next;
  }
  SDAR_CHECK(next == reveals.size());
  masked_positions_.resize(left);
  ++step_;
}

}  // namespace sdar
