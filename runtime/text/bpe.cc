// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/bpe.h"

#include <algorithm>
#include <functional>

namespace sdar {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

uint64_t PairKey(TokenId left, TokenId right) {
  return (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
}

}  // namespace

BpeMerger::BpeMerger(const std::array<TokenId, 256>& byte_tokens,
                     const std::vector<BpeMerge>& merges)
    : byte_tokens_(byte_tokens), merges_(merges) {
  ranks_.reserve(merges.size());
  uint32_t rank = 0;
  for (const BpeMerge& merge : merges) ranks_[PairKey(merge.left, merge.right)] = rank++;
}

void BpeMerger::NotePair(uint32_t left, Scratch& scratch) const {
  if (left == kNone) return;
  const Symbol& symbol = scratch.symbols[left];
  if (symbol.next == kNone) return;
  const auto it = ranks_.find(PairKey(symbol.id, scratch.symbols[symbol.next].id));
  if (it == ranks_.end()) return;
  scratch.pending.push_back((uint64_t{it->second} << 32) | left);
  std::push_heap(scratch.pending.begin(), scratch.pending.end(), std::greater<>());
}

void BpeMerger::Encode(absl::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
  std::vector<Symbol>& symbols = scratch.symbols;
  std::vector<uint64_t>& pending = scratch.pending;
  symbols.resize(word.size());
  pending.clear();
  for (uint32_t i = 0; i < symbols.size(); ++i) {
    symbols[i] = {byte_tokens_[static_cast<uint8_t>(word[i])], i == 0 ? kNone : i - 1,
                  i + 1 == symbols.size() ? kNone : i + 1};
  }
  for (uint32_t i = 0; i < symbols.size(); ++i) NotePair(i, scratch);
  while (!pending.empty()) {
    std::pop_heap(pending.begin(), pending.end(), std::greater<>());
    const BpeMerge& rule = merges_[pending.back() >> 32];
    const auto position = static_cast<uint32_t>(pending.back());
    pending.pop_back();
    // Stale once either token has changed.
    Symbol& left = symbols[position];
    if (left.id != rule.left || left.next == kNone) continue;
    Symbol& right = symbols[left.next];
    if (right.id != rule.right) continue;
    left.id = rule.merged;
    left.next = right.next;
    right.id = -1;
    if (left.next != kNone) symbols[left.next].previous = position;
    NotePair(left.previous, scratch);
    NotePair(position, scratch);
  }
  for (const Symbol& symbol : symbols) {
    if (symbol.id >= 0) out.push_back(symbol.id);
  }
}

}  // namespace sdar
