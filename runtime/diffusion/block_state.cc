// SPDX-License-Identifier: Apache-2.0
#include "runtime/diffusion/block_state.h"

#include "common/status_macros.h"

namespace sdar {

BlockState::BlockState(int block_length, absl::Span<const TokenId> given, TokenId mask_token)
    : tokens_(static_cast<size_t>(block_length)),
      token_ids_(static_cast<size_t>(block_length), mask_token),
      masked_(static_cast<size_t>(block_length), true),
      num_given_(static_cast<int>(given.size())),
      num_masked_(block_length - num_given_) {
  SDAR_CHECK(num_masked_ > 0);
  for (size_t i = 0; i < given.size(); ++i) {
    tokens_[i].id = token_ids_[i] = given[i];
    masked_[i] = false;
  }
}

std::vector<int> BlockState::MaskedPositions() const {
  std::vector<int> positions;
  for (int i = 0; i < block_length(); ++i) {
    if (IsMasked(i)) positions.push_back(i);
  }
  return positions;
}

int BlockState::FinalPrefix() const {
  int end = 0;
  while (end < block_length() && !IsMasked(end)) ++end;
  return end;
}

std::vector<int> BlockState::Advance(const RemaskingOptions& options,
                                     absl::Span<const Choice> choices) {
  SDAR_CHECK(static_cast<int>(choices.size()) == num_masked_);
  const std::vector<int> positions = MaskedPositions();
  std::vector<MaskedPosition> masked;
  for (size_t i = 0; i < choices.size(); ++i) {
    masked.push_back({positions[i], choices[i].confidence, choices[i].entropy});
  }
  std::vector<int> reveals = SelectReveals(options, step_, masked);
  size_t next = 0;
  for (size_t i = 0; i < positions.size() && next < reveals.size(); ++i) {
    if (positions[i] != reveals[next]) continue;
    const auto at = static_cast<size_t>(positions[i]);
    tokens_[at] = {choices[i].id, choices[i].logprob, choices[i].entropy, step_, {}};
    token_ids_[at] = choices[i].id;
    masked_[at] = false;
    --num_masked_;
    ++next;
  }
  ++step_;
  return reveals;
}

}  // namespace sdar
