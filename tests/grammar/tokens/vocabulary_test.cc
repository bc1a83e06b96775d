// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/tokens/vocabulary.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/grammar/tokens/small_vocabulary.h"

namespace sdar::grammar {
namespace {

// The tokens of a tree with their bytes, spelled along its paths.
std::set<std::pair<std::string, TokenId>> TokensOf(const TokenTrie& trie) {
  std::set<std::pair<std::string, TokenId>> tokens;
  std::string path;
  for (const TokenTrie::Node& node : trie.nodes()) {
    path.resize(node.depth);
    path.push_back(static_cast<char>(node.byte));
    if (node.token >= 0) tokens.emplace(path, node.token);
  }
  return tokens;
}

TEST(VocabularyTest, ATreeSpellsEveryTokenOnce) {
  const Vocabulary vocabulary(SmallTokens());
  const auto tokens = TokensOf(vocabulary.all());
  EXPECT_EQ(tokens.size(), 256u + 18);
  for (const auto& [bytes, id] : tokens) EXPECT_EQ(bytes, vocabulary.Bytes(id));
}

TEST(VocabularyTest, ATreeIsLeftByItsNextNode) {
  const Vocabulary vocabulary(SmallTokens());
  const auto nodes = vocabulary.all().nodes();
  for (size_t i = 0; i < nodes.size(); ++i) {
    const auto next = static_cast<size_t>(nodes[i].next);
    ASSERT_LE(next, nodes.size());
    for (size_t below = i + 1; below < next; ++below) ASSERT_GT(nodes[below].depth, nodes[i].depth);
    if (next < nodes.size()) {
      EXPECT_LE(nodes[next].depth, nodes[i].depth);
    }
  }
}

TEST(VocabularyTest, PrefixesOfATextAreFoundShortestFirst) {
  const Vocabulary vocabulary(SmallTokens());
  std::vector<std::string> found;
  vocabulary.all().ForEachPrefix("abcd", [&](TokenId token, size_t length) {
    found.emplace_back(vocabulary.Bytes(token));
    EXPECT_EQ(found.back().size(), length);
  });
  EXPECT_THAT(found, ::testing::ElementsAre("a", "ab", "abc"));
}

TEST(VocabularyTest, PlainTokensAreCountedInCharacters) {
  const Vocabulary vocabulary(SmallTokens());
  size_t plain = 0;
  for (int count = 1; count <= Vocabulary::kMaxCounted; ++count) {
    plain += TokensOf(vocabulary.plain(count)).size();
  }
  // Of the bytes, ASCII without controls, quote and backslash; é; what has no quote or control.
  // ab abc bc cab 12 123 é two spaces }} true aaaa, and a beginning of €; lead bytes of UTF-8.
  constexpr size_t kAscii = 0x80 - 0x20 - 2, kLonger = 12, kLeads = 0xF5 - 0xC2;
  EXPECT_EQ(plain, kAscii + kLonger + kLeads);
  // A quote, a backslash, and ": ", " \\n a"} {"a.
  EXPECT_EQ(TokensOf(vocabulary.breaking()).size(), 2u + 5);
  const TokenId accent = 256 + 9;
  EXPECT_EQ(vocabulary.Bytes(accent), "\xC3\xA9");
  EXPECT_TRUE(HasBit(vocabulary.PlainUpTo(1, false), accent));
  EXPECT_FALSE(HasBit(vocabulary.PlainUpTo(1, false), 256));  // "ab"
  EXPECT_TRUE(HasBit(vocabulary.PlainUpTo(2, false), 256));
}

TEST(VocabularyTest, SpaceIsSpacesTabsAndLineFeeds) {
  const Vocabulary vocabulary(SmallTokens());
  std::set<std::string> space;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if (HasBit(vocabulary.space(), id)) space.emplace(vocabulary.Bytes(id));
  }
  EXPECT_THAT(space, ::testing::UnorderedElementsAre(" ", "\t", "\n", "  ", "\n\n"));
  EXPECT_TRUE(vocabulary.has_all_bytes());
}

}  // namespace
}  // namespace sdar::grammar
