// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/prefix_cache.h"

#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<PageId> AllocatePages(PageAllocator& allocator, int count) {
  std::vector<PageId> pages;
  for (int i = 0; i < count; ++i) pages.push_back(allocator.Allocate());
  return pages;
}

// Offers every page of `tokens`, as a sequence does while it goes on.
void OfferAll(PrefixCache& cache, int block_length, absl::Span<const TokenId> tokens,
              absl::Span<const PageId> pages) {
  for (size_t n = 1; n <= pages.size(); ++n) {
    cache.Offer(block_length, tokens, pages.subspan(0, n));
  }
}

TEST(PrefixCacheTest, GivesTheFullPagesThatAgreeFromTheStart) {
  PageAllocator allocator(8);
  PrefixCache cache(allocator, 2, true);
  const std::vector<PageId> pages = AllocatePages(allocator, 2);
  OfferAll(cache, 1, {1, 2, 3, 4}, pages);
  EXPECT_THAT(cache.Acquire(1, {1, 2, 3, 4, 5}), ElementsAre(pages[0], pages[1]));
  EXPECT_THAT(cache.Acquire(1, {1, 2, 3}), ElementsAre(pages[0]));
  EXPECT_THAT(cache.Acquire(1, {1, 2, 9, 4}), ElementsAre(pages[0]));
  EXPECT_THAT(cache.Acquire(1, {9, 2, 3, 4}), IsEmpty());
  EXPECT_THAT(cache.Acquire(2, {1, 2, 3, 4}), IsEmpty());
}

TEST(PrefixCacheTest, TheSamePageBehindAnotherBeginningIsAnother) {
  PageAllocator allocator(8);
  PrefixCache cache(allocator, 1, true);
  OfferAll(cache, 1, {1, 7}, AllocatePages(allocator, 2));
  OfferAll(cache, 1, {2, 7}, AllocatePages(allocator, 2));
  EXPECT_EQ(cache.num_entries(), 4);
  EXPECT_NE(cache.Acquire(1, {1, 7}), cache.Acquire(1, {2, 7}));
}

TEST(PrefixCacheTest, EvictsWhatWasUsedLeastRecentlyAndChildrenBeforeParents) {
  PageAllocator allocator(4);
  PrefixCache cache(allocator, 1, true);
  const std::vector<PageId> first = AllocatePages(allocator, 2);
  OfferAll(cache, 1, {1, 2}, first);
  const std::vector<PageId> second = AllocatePages(allocator, 1);
  OfferAll(cache, 1, {3}, second);
  cache.Release(second);
  cache.Release(first);
  EXPECT_EQ(cache.num_idle(), 3);
  cache.EvictOne();
  EXPECT_THAT(cache.Acquire(1, {3}), IsEmpty());
  cache.EvictOne();
  const std::vector<PageId> left = cache.Acquire(1, {1, 2});
  EXPECT_THAT(left, ElementsAre(first[0]));
  EXPECT_EQ(cache.num_idle(), 0);
}

TEST(PrefixCacheTest, APageInUseIsNotIdle) {
  PageAllocator allocator(4);
  PrefixCache cache(allocator, 1, true);
  const std::vector<PageId> pages = AllocatePages(allocator, 1);
  OfferAll(cache, 1, {1}, pages);
  EXPECT_EQ(cache.num_idle(), 0);
  const std::vector<PageId> shared = cache.Acquire(1, {1});
  cache.Release(pages);
  EXPECT_EQ(cache.num_idle(), 0);
  cache.Release(shared);
  EXPECT_EQ(cache.num_idle(), 1);
}

TEST(PrefixCacheTest, AnEqualPageOfAnotherSequenceStaysItsOwn) {
  PageAllocator allocator(4);
  PrefixCache cache(allocator, 1, true);
  const std::vector<PageId> first = AllocatePages(allocator, 1);
  OfferAll(cache, 1, {1}, first);
  const std::vector<PageId> second = AllocatePages(allocator, 2);
  OfferAll(cache, 1, {1, 2}, second);
  EXPECT_EQ(cache.num_entries(), 1);
  cache.Release(second);
  EXPECT_EQ(allocator.num_free(), 3);
}

// With two bits of hash nearly everything collides, and still only equal tokens are shared.
TEST(PrefixCacheTest, CollidingHashesNeverShareOtherTokens) {
  std::mt19937 random(3);
  PageAllocator allocator(64);
  PrefixCache cache(allocator, 2, true, 3);
  std::vector<std::vector<TokenId>> written(64);  // by page: all tokens up to its end
  for (int round = 0; round < 2000; ++round) {
    std::vector<TokenId> tokens(6);
    for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 2);
    std::vector<PageId> pages = cache.Acquire(1, tokens);
    for (size_t i = 0; i < pages.size(); ++i) {
      const std::vector<TokenId> beginning(
          tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(2 * (i + 1)));
      ASSERT_EQ(written[static_cast<size_t>(pages[i].value())], beginning);
    }
    while (pages.size() < 3) {
      if (allocator.num_free() == 0) cache.EvictOne();
      pages.push_back(allocator.Allocate());
      const auto end = tokens.begin() + static_cast<std::ptrdiff_t>(2 * pages.size());
      written[static_cast<size_t>(pages.back().value())] = {tokens.begin(), end};
      cache.Offer(1, tokens, pages);
    }
    cache.Release(pages);
  }
  EXPECT_EQ(allocator.num_free() + cache.num_idle(), 64);
}

}  // namespace
}  // namespace sdar
