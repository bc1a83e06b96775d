// SPDX-License-Identifier: Apache-2.0
// A prefix tree of tokens, flat and in depth-first order, so that a walk goes over memory forwards.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/ids.h"

namespace sdar::grammar {

class TokenTrie {
 public:
  // A byte after the path of its parent, which is the last node before it of a smaller depth.
  struct Node {
    uint8_t byte = 0;
    uint16_t depth = 0;  // 0 for first bytes
    TokenId token = -1;  // whose bytes end here; -1: none
    int32_t next = 0;    // the first node that is not below this one
  };

  TokenTrie() = default;
  // Requires: ascending by bytes, distinct, none empty or longer than 65,535 bytes.
  explicit TokenTrie(absl::Span<const std::pair<absl::string_view, TokenId>> tokens);

  absl::Span<const Node> nodes() const { return nodes_; }
  int max_depth() const { return max_depth_; }

  // Calls visit(token, length) for every token that `text` begins with, shortest first.
  template <typename Visitor>
  void ForEachPrefix(absl::string_view text, Visitor&& visit) const {
    size_t node = 0;
    size_t end = nodes_.size();
    for (size_t i = 0; i < text.size(); ++i) {
      while (node < end && nodes_[node].byte != static_cast<uint8_t>(text[i])) {
        node = static_cast<size_t>(nodes_[node].next);
      }
      if (node >= end) return;
      if (nodes_[node].token >= 0) visit(nodes_[node].token, i + 1);
      end = static_cast<size_t>(nodes_[node].next);
      ++node;
    }
  }

 private:
  std::vector<Node> nodes_;
  int max_depth_ = 0;
};

}  // namespace sdar::grammar
