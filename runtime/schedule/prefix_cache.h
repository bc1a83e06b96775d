// SPDX-License-Identifier: Apache-2.0
// Committed K/V pages that sequences with the same beginning share.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"

#include "common/ids.h"
#include "runtime/schedule/page_allocator.h"

namespace sdar {

// A forest of full pages: a page's K/V depend on the block length and on all tokens up to its end,
// so an entry is found by a hash chained from the first page on, and taken only when its own tokens
// and its parent are the ones asked for. The cache is one user of each of its pages. A sequence
// that uses an entry uses the entries before it, so the entries nobody uses can all be evicted,
// least recently used first and leaves before their parents. One thread.
class PrefixCache {
 public:
  // hash_mask: bits of the hash that count; fewer only to test collisions. Requires: the allocator
  // outlives this.
  PrefixCache(PageAllocator& pages, int64_t page_size, bool enabled, uint64_t hash_mask = ~0ull);

  bool enabled() const { return enabled_; }
  int64_t num_entries() const { return static_cast<int64_t>(by_hash_.size()); }
  // Entries that no sequence uses.
  int64_t num_idle() const { return static_cast<int64_t>(idle_.size()); }

  // The longest cached beginning of `tokens`: its pages in order, each with one user more.
  std::vector<PageId> Acquire(int block_length, absl::Span<const TokenId> tokens);

  // Takes in the last of `pages`, which hold the K/V of `tokens`, pages.size() full pages of them,
  // all committed. Passes it over where the pages before it are not entries themselves or where
  // there is an equal one already.
  void Offer(int block_length, absl::Span<const TokenId> tokens, absl::Span<const PageId> pages);

  // Gives up the use of a sequence's pages, cached or not.
  void Release(absl::Span<const PageId> pages);

  // Frees the page of the least recently used entry. Requires: num_idle() > 0.
  void EvictOne();

 private:
  struct Entry {
    PageId page;
    Entry* parent = nullptr;
    int block_length = 0;
    std::vector<TokenId> tokens;
    uint64_t hash = 0;
    int num_children = 0;
    std::optional<std::list<Entry*>::iterator> idle;  // its place in idle_
  };

  Entry*& At(PageId page) { return by_page_[static_cast<size_t>(page.value())]; }
  Entry* Find(const Entry* parent, int block_length, absl::Span<const TokenId> tokens) const;
  uint64_t HashOf(const Entry* parent, int block_length, absl::Span<const TokenId> tokens) const;

  PageAllocator& pages_;
  const size_t page_size_;
  const bool enabled_;
  const uint64_t hash_mask_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Entry>> by_hash_;
  std::vector<Entry*> by_page_;  // null where the page is no entry
  std::list<Entry*> idle_;       // least recently used first; children before their parents
};

}  // namespace sdar
