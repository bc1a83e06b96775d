// SPDX-License-Identifier: Apache-2.0
#include "runtime/cluster/prefix_affinity.h"

#include <utility>

#include "absl/hash/hash.h"

namespace sdar {

std::vector<uint64_t> HashLeadingPages(absl::Span<const TokenId> prompt, int block_length,
                                       int64_t page_size) {
  const auto page = static_cast<size_t>(page_size);
  std::vector<uint64_t> hashes;
  uint64_t hash = absl::HashOf(block_length);
  for (size_t begin = 0; begin + page <= prompt.size(); begin += page) {
    hash = absl::HashOf(hash, prompt.subspan(begin, page));
    hashes.push_back(hash);
  }
  return hashes;
}

void PrefixAffinity::Note(absl::Span<const uint64_t> pages, int replica) {
  for (uint64_t page : pages) {
    if (young_.size() >= capacity_) {
      old_ = std::move(young_);
      young_.clear();
    }
    young_[page] = replica;
  }
}

std::optional<int> PrefixAffinity::Find(absl::Span<const uint64_t> pages) const {
  for (size_t i = pages.size(); i-- > 0;) {
    for (const Generation* generation : {&young_, &old_}) {
      const auto found = generation->find(pages[i]);
      if (found != generation->end()) return found->second;
    }
  }
  return std::nullopt;
}

}  // namespace sdar
