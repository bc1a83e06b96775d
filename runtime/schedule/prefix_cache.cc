// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/prefix_cache.h"

#include <utility>

#include "absl/hash/hash.h"

#include "common/status_macros.h"

namespace sdar {

PrefixCache::PrefixCache(PageAllocator& pages, int64_t page_size, bool enabled, uint64_t hash_mask)
    : pages_(pages),
      page_size_(static_cast<size_t>(page_size)),
      enabled_(enabled),
      hash_mask_(hash_mask),
      by_page_(static_cast<size_t>(pages.num_pages()), nullptr) {}

uint64_t PrefixCache::HashOf(const Entry* parent, int block_length,
                             absl::Span<const TokenId> tokens) const {
  const uint64_t before = parent == nullptr ? 0 : parent->hash;
  return absl::HashOf(before, block_length, tokens) & hash_mask_;
}

PrefixCache::Entry* PrefixCache::Find(const Entry* parent, int block_length,
                                      absl::Span<const TokenId> tokens) const {
  const auto found = by_hash_.find(HashOf(parent, block_length, tokens));
  if (found == by_hash_.end()) return nullptr;
  Entry* entry = found->second.get();
  const bool same = entry->parent == parent && entry->block_length == block_length &&
                    absl::MakeConstSpan(entry->tokens) == tokens;
  return same ? entry : nullptr;
}

std::vector<PageId> PrefixCache::Acquire(int block_length, absl::Span<const TokenId> tokens) {
  std::vector<PageId> out;
  const Entry* parent = nullptr;
  for (; enabled_ && tokens.size() >= page_size_; tokens.remove_prefix(page_size_)) {
    Entry* entry = Find(parent, block_length, tokens.subspan(0, page_size_));
    if (entry == nullptr) break;
    if (entry->idle) idle_.erase(*std::exchange(entry->idle, std::nullopt));
    pages_.Share(entry->page);
    out.push_back(entry->page);
    parent = entry;
  }
  return out;
}

void PrefixCache::Offer(int block_length, absl::Span<const TokenId> tokens,
                        absl::Span<const PageId> pages) {
  SDAR_CHECK(!pages.empty() && tokens.size() >= pages.size() * page_size_);
  if (!enabled_ || At(pages.back()) != nullptr) return;
  Entry* parent = pages.size() == 1 ? nullptr : At(pages[pages.size() - 2]);
  if (pages.size() > 1 && parent == nullptr) return;
  const auto own = tokens.subspan((pages.size() - 1) * page_size_, page_size_);
  const uint64_t hash = HashOf(parent, block_length, own);
  if (by_hash_.contains(hash)) return;  // an equal page, or one that collides: the first stays
  auto entry = std::make_unique<Entry>();
  entry->page = pages.back();
  entry->parent = parent;
  entry->block_length = block_length;
  entry->tokens.assign(own.begin(), own.end());
  entry->hash = hash;
  if (parent != nullptr) ++parent->num_children;
  pages_.Share(entry->page);
  At(entry->page) = entry.get();
  by_hash_[hash] = std::move(entry);
}

void PrefixCache::Release(absl::Span<const PageId> pages) {
  for (auto page = pages.rbegin(); page != pages.rend(); ++page) {
    pages_.Release(*page);
    Entry* entry = At(*page);
    if (entry != nullptr && pages_.num_users(*page) == 1) {
      entry->idle = idle_.insert(idle_.end(), entry);
    }
  }
}

void PrefixCache::EvictOne() {
  SDAR_CHECK(!idle_.empty());
  Entry* entry = idle_.front();
  SDAR_CHECK(entry->num_children == 0);
  idle_.pop_front();
  if (entry->parent != nullptr) --entry->parent->num_children;
  pages_.Release(entry->page);
  At(entry->page) = nullptr;
  by_hash_.erase(entry->hash);
}

}  // namespace sdar
