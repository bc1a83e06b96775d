// SPDX-License-Identifier: Apache-2.0
// The draws of whole vocabularies against those of single ids, every instruction set.
#include "gtest/gtest.h"

#include "common/draw_key.h"
#include "kernels/cpu/instruction_set.h"

namespace sdar {
namespace {

TEST(DrawGroupsTest, GivesTheWordsOfEveryIdOnEveryInstructionSet) {
  const DrawKey key{0x123456789ABCDEF0, 77, 3};
  for (const InstructionSet set : InstructionSetsHere()) {
    const SimdKernels& kernels = KernelsFor(set);
    for (int64_t count : {1, 15, 16, 64, 65, 300}) {
      std::vector<uint32_t> words(static_cast<size_t>(4 * count + 1), 42);
      kernels.draw_groups(key.seed, key.position, key.step, 1000, count, words.data());
      for (int64_t i = 0; i < 4 * count; ++i) {
        ASSERT_EQ(words[static_cast<size_t>(i)], DrawWord(key, static_cast<TokenId>(4000 + i)))
            << kernels.name << ", " << count << " groups";
      }
      EXPECT_EQ(words.back(), 42u);
    }
  }
}

}  // namespace
}  // namespace sdar
