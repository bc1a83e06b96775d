// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/tokens/token_trie.h"

#include <algorithm>

namespace sdar::grammar {

TokenTrie::TokenTrie(absl::Span<const std::pair<absl::string_view, TokenId>> tokens) {
  std::vector<size_t> path;  // nodes of the last token
  absl::string_view last;
  const auto leave = [&](size_t depth) {
    while (path.size() > depth) {
      nodes_[path.back()].next = static_cast<int32_t>(nodes_.size());
      path.pop_back();
    }
  };
  for (const auto& [bytes, token] : tokens) {
    size_t common = 0;
    while (common < last.size() && common < bytes.size() && last[common] == bytes[common]) ++common;
    leave(common);
    for (size_t depth = common; depth < bytes.size(); ++depth) {
      path.push_back(nodes_.size());
      nodes_.push_back({static_cast<uint8_t>(bytes[depth]), static_cast<uint16_t>(depth)});
    }
    nodes_[path.back()].token = token;
    max_depth_ = std::max(max_depth_, static_cast<int>(bytes.size()));
    last = bytes;
  }
  leave(0);
}

}  // namespace sdar::grammar
