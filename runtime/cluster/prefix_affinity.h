// SPDX-License-Identifier: Apache-2.0
// Which replica saw a prompt's first pages last, and so may have their K/V in its prefix cache.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"

#include "common/ids.h"

namespace sdar {

// One hash per full page of the prompt, each over all tokens up to the page's end and the block
// length, which K/V depend on. Pure.
std::vector<uint64_t> HashLeadingPages(absl::Span<const TokenId> prompt, int block_length,
                                       int64_t page_size);

// Remembers the last `capacity` hashes at least, and twice as many at most. A collision of hashes
// costs a cache hit, nothing more. One thread.
class PrefixAffinity {
 public:
  explicit PrefixAffinity(size_t capacity) : capacity_(capacity) {}

  void Note(absl::Span<const uint64_t> pages, int replica);
  // The replica that was last given the longest leading run of `pages`.
  std::optional<int> Find(absl::Span<const uint64_t> pages) const;

 private:
  using Generation = absl::flat_hash_map<uint64_t, int>;

  size_t capacity_;
  Generation young_;
  Generation old_;  // dropped when the young one is full and takes its place
};

}  // namespace sdar
