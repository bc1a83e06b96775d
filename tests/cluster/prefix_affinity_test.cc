// SPDX-License-Identifier: Apache-2.0
#include "runtime/cluster/prefix_affinity.h"

#include "gtest/gtest.h"

namespace sdar {
namespace {

TEST(PrefixAffinityTest, ForgetsTheOldestAndStaysBounded) {
  PrefixAffinity affinity(2);
  affinity.Note({1, 2}, 0);
  EXPECT_EQ(affinity.Find({1, 2, 3}), 0);
  affinity.Note({3, 4}, 1);
  EXPECT_EQ(affinity.Find({1, 2}), 0);
  affinity.Note({5}, 1);
  EXPECT_EQ(affinity.Find({1, 2}), std::nullopt);
  EXPECT_EQ(affinity.Find({3}), 1);
}

TEST(PrefixAffinityTest, HashesCoverAllTokensBeforeAndTheBlockLength) {
  const std::vector<TokenId> prompt = {1, 2, 3, 4, 5};
  const std::vector<TokenId> other = {9, 2, 3, 4, 5};
  const auto hashes = HashLeadingPages(prompt, 4, 2);
  EXPECT_EQ(hashes.size(), 2u);
  EXPECT_NE(hashes[1], HashLeadingPages(other, 4, 2)[1]);
  EXPECT_NE(hashes[0], HashLeadingPages(prompt, 8, 2)[0]);
}

}  // namespace
}  // namespace sdar
