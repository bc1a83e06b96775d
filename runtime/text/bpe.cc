// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/bpe.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <tuple>

namespace sdar {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

uint64_t PairKey(TokenId left, TokenId right) {
  return (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
}

// A token of the word under way, in a list linked by index.
struct Symbol {
  TokenId id = 0;
  uint32_t previous = kNone;
  uint32_t next = kNone;
  bool merged_away = false;
};

// A rule that applied at `left` when it was pushed; stale once either token has changed.
struct Pending {
  uint32_t rank = 0;
  uint32_t left = 0;
  TokenId left_id = 0;
  TokenId right_id = 0;
  TokenId merged = 0;

  bool operator>(const Pending& other) const {
    return std::tie(rank, left) > std::tie(other.rank, other.left);
  }
};

}  // namespace

BpeMerger::BpeMerger(const std::array<TokenId, 256>& byte_tokens,
                     const std::vector<BpeMerge>& merges)
    : byte_tokens_(byte_tokens) {
  rules_.reserve(merges.size());
  uint32_t rank = 0;
  for (const BpeMerge& merge : merges) {
    rules_[PairKey(merge.left, merge.right)] = {rank++, merge.merged};
  }
}

const BpeMerger::Rule* BpeMerger::FindRule(TokenId left, TokenId right) const {
  const auto it = rules_.find(PairKey(left, right));
  return it == rules_.end() ? nullptr : &it->second;
}

void BpeMerger::Encode(absl::string_view word, std::vector<TokenId>& out) const {
  std::vector<Symbol> symbols(word.size());
  for (uint32_t i = 0; i < symbols.size(); ++i) {
    symbols[i] = {byte_tokens_[static_cast<uint8_t>(word[i])], i == 0 ? kNone : i - 1,
                  i + 1 == symbols.size() ? kNone : i + 1, false};
  }
  std::vector<Pending> heap;
  const auto push = [&](uint32_t left) {
    if (left == kNone || symbols[left].next == kNone) return;
    const TokenId left_id = symbols[left].id;
    const TokenId right_id = symbols[symbols[left].next].id;
    if (const Rule* rule = FindRule(left_id, right_id)) {
      heap.push_back({rule->rank, left, left_id, right_id, rule->merged});
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    }
  };
  for (uint32_t i = 0; i < symbols.size(); ++i) push(i);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const Pending best = heap.back();
    heap.pop_back();
    Symbol& left = symbols[best.left];
    if (left.merged_away || left.id != best.left_id || left.next == kNone) continue;
    Symbol& right = symbols[left.next];
    if (right.id != best.right_id) continue;
    left.id = best.merged;
    left.next = right.next;
    right.merged_away = true;
    if (left.next != kNone) symbols[left.next].previous = best.left;
    push(left.previous);
    push(best.left);
  }
  for (const Symbol& symbol : symbols) {
    if (!symbol.merged_away) out.push_back(symbol.id);
  }
}

}  // namespace sdar
