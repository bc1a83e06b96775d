// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/tokens/byte_masks.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace sdar::grammar {
const TokenBits& ByteMasks::Of(StateId state) {
  const OfFrame& frame = FrameOf(automaton_.Floating(state));
  bits_ = frame.allowed;
  WalkState(frame.open, state, bits_);
  vocabulary_.AddTwins(bits_);
  return bits_;
}

const ByteMasks::OfFrame& ByteMasks::FrameOf(StateId floating) {
  if (const auto found = frames_.find(floating); found != frames_.end()) return *found->second;
  Trim();
  auto frame = std::make_unique<OfFrame>();
  std::vector<std::pair<absl::string_view, TokenId>> open;
  const int free = automaton_.FreeCharacters(floating);
  if (free == 0) {
    frame->allowed.resize(vocabulary_.num_words());
    WalkFrame(vocabulary_.all(), floating, frame->allowed, open);
  } else {
    const bool all = free == std::numeric_limits<int>::max();
    frame->allowed = vocabulary_.PlainUpTo(free, all);
    WalkFrame(vocabulary_.breaking(), floating, frame->allowed, open);
    if (!all) {
      // The last tree has all longer tokens, whatever their number.
      const int first = free < Vocabulary::kMaxCounted ? free + 1 : Vocabulary::kMaxCounted;
      for (int count = first; count <= Vocabulary::kMaxCounted; ++count) {
        WalkFrame(vocabulary_.plain(count), floating, frame->allowed, open);
      }
    }
    std::sort(open.begin(), open.end());
  }
  frame->open = TokenTrie(open);
  frame->bytes = frame->allowed.size() * 8 + frame->open.nodes().size() * sizeof(TokenTrie::Node);
  cached_bytes_ += frame->bytes;
  return *frames_.emplace(floating, std::move(frame)).first->second;
}

// Tokens of a tree that stay in the frame are allowed; those that leave it are added to `open`.
void ByteMasks::WalkFrame(const TokenTrie& trie, StateId floating, TokenBits& allowed,
                          std::vector<std::pair<absl::string_view, TokenId>>& open) {
  const auto nodes = trie.nodes();
  walk_.resize(static_cast<size_t>(trie.max_depth()) + 1);
  walk_[0] = floating;
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const StateId next = automaton_.Next(walk_[node.depth], node.byte);
    if (next == kDeadState) {
      i = static_cast<size_t>(node.next);
    } else if (next == kOpenState) {
      for (; i < static_cast<size_t>(node.next); ++i) {
        if (nodes[i].token >= 0)
          open.emplace_back(vocabulary_.Bytes(nodes[i].token), nodes[i].token);
      }
    } else {
      walk_[node.depth + 1U] = next;
      if (node.token >= 0) SetBit(allowed, node.token);
      ++i;
    }
  }
}

void ByteMasks::WalkState(const TokenTrie& trie, StateId state, TokenBits& allowed) {
  const auto nodes = trie.nodes();
  walk_.resize(static_cast<size_t>(trie.max_depth()) + 1);
  walk_[0] = state;
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const StateId next = automaton_.Next(walk_[node.depth], node.byte);
    if (next == kDeadState) {
      i = static_cast<size_t>(node.next);
      continue;
    }
    walk_[node.depth + 1U] = next;
    if (node.token >= 0) SetBit(allowed, node.token);
    ++i;
  }
}

void ByteMasks::Trim() {
  if (cached_bytes_ < kMaxCachedBytes) return;
  frames_.clear();
  cached_bytes_ = 0;
}

}  // namespace sdar::grammar
