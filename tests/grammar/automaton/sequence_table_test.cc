// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/sequence_table.h"

#include <vector>

#include "gtest/gtest.h"

namespace sdar::grammar {
namespace {

TEST(SequenceTableTest, EqualSequencesHaveOneId) {
  SequenceTable table;
  EXPECT_EQ(table.Intern({}), 0u);
  const uint32_t one = table.Intern({7, 8});
  EXPECT_EQ(table.Intern({7, 8}), one);
  EXPECT_NE(table.Intern({8, 7}), one);
}

TEST(SequenceTableTest, SequencesStayWhereTheyAreWhileOthersCome) {
  SequenceTable table;
  const absl::Span<const uint32_t> first = table.Get(table.Intern({1, 2, 3}));
  for (uint32_t i = 0; i < 20'000; ++i) table.Intern({i, i + 1, i + 2, i + 3});
  EXPECT_EQ(first, absl::MakeConstSpan({1u, 2u, 3u}));
  EXPECT_GT(table.MemoryBytes(), 20'000 * 4 * sizeof(uint32_t));
}

}  // namespace
}  // namespace sdar::grammar
