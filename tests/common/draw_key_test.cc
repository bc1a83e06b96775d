// SPDX-License-Identifier: Apache-2.0
#include "common/draw_key.h"

#include <array>
#include <cmath>
#include <random>
#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace sdar {
namespace {

using Words = std::array<uint32_t, 4>;

// Philox4x32-10 as the paper writes it, to check the library and our use of it.
Words Philox(Words counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
  }
  return counter;
}

Words WordsOf(const DrawKey& key, uint32_t group) {
  const DrawWords draw = Draw(key, group);
  return {draw.words[0], draw.words[1], draw.words[2], draw.words[3]};
}

// kat_vectors of Random123: philox4x32, 10 rounds.
TEST(DrawKeyTest, TheReferenceMeetsTheKnownAnswers) {
  EXPECT_EQ(Philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(DrawKeyTest, ADrawIsPhiloxOfItsKey) {
  EXPECT_EQ(WordsOf({0, 0, 0}, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  std::mt19937 random(7);
  for (int i = 0; i < 1000; ++i) {
    const auto word = [&random] { return static_cast<uint32_t>(random()); };
    const uint32_t low = word(), high = word(), position = word(), step = word(), group = word();
    EXPECT_EQ(WordsOf({uint64_t{high} << 32 | low, position, step}, group),
              Philox({group, position, step, 0}, {low, high}));
  }
}

TEST(DrawKeyTest, GumbelOfATokenTakesItsWordOfItsGroup) {
  const DrawKey key{42, 3, 1};
  for (TokenId id = 0; id < 64; ++id) {
    const DrawWords draw = Draw(key, static_cast<uint32_t>(id) / 4);
    EXPECT_EQ(Gumbel(key, id), GumbelFromWord(draw.words[id % 4]));
  }
}

TEST(DrawKeyTest, NeighbouringKeysShareNoWords) {
  std::set<uint32_t> words;
  size_t drawn = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    for (uint32_t position = 0; position < 8; ++position) {
      for (uint32_t step = 0; step < 8; ++step) {
        for (uint32_t word : WordsOf({seed, position, step}, 0)) {
          words.insert(word);
          ++drawn;
        }
      }
    }
  }
  EXPECT_GE(words.size(), drawn - 2);  // 2048 words of 2^32: a collision is rare
}

// Correlation of the Gumbel variates of two families of keys.
template <typename A, typename B>
double Correlation(A first, B second) {
  constexpr int kCount = 20000;
  double sum_a = 0, sum_b = 0, aa = 0, bb = 0, ab = 0;
  for (uint32_t i = 0; i < kCount; ++i) {
    const double a = first(i), b = second(i);
    sum_a += a, sum_b += b, aa += a * a, bb += b * b, ab += a * b;
  }
  const double n = kCount;
  return (ab / n - sum_a * sum_b / n / n) /
         std::sqrt((aa / n - sum_a * sum_a / n / n) * (bb / n - sum_b * sum_b / n / n));
}

TEST(DrawKeyTest, NeighboursInEveryCoordinateAreUncorrelated) {
  const auto base = [](uint32_t i) { return Gumbel({i, i % 97, i % 5}, static_cast<TokenId>(i)); };
  const auto token = [](uint32_t i) {
    return Gumbel({i, i % 97, i % 5}, static_cast<TokenId>(i + 1));
  };
  const auto step = [](uint32_t i) {
    return Gumbel({i, i % 97, i % 5 + 1}, static_cast<TokenId>(i));
  };
  const auto position = [](uint32_t i) {
    return Gumbel({i, i % 97 + 1, i % 5}, static_cast<TokenId>(i));
  };
  const auto seed = [](uint32_t i) {
    return Gumbel({i + 1, i % 97, i % 5}, static_cast<TokenId>(i));
  };
  const double limit = 4 / std::sqrt(20000.0);  // four standard errors
  EXPECT_LT(std::abs(Correlation(base, token)), limit);
  EXPECT_LT(std::abs(Correlation(base, step)), limit);
  EXPECT_LT(std::abs(Correlation(base, position)), limit);
  EXPECT_LT(std::abs(Correlation(base, seed)), limit);
}

TEST(DrawKeyTest, GumbelVariatesHaveTheMeanAndVarianceOfTheirLaw) {
  constexpr int kCount = 400000;
  double sum = 0, squares = 0;
  for (TokenId id = 0; id < kCount; ++id) {
    const double g = Gumbel({11, 0, 0}, id);
    sum += g;
    squares += g * g;
  }
  const double mean = sum / kCount;
  EXPECT_NEAR(mean, 0.5772157, 0.01);
  EXPECT_NEAR(squares / kCount - mean * mean, M_PI * M_PI / 6, 0.03);
}

TEST(DrawKeyTest, EveryExtremeWordGivesAFiniteGumbel) {
  for (uint32_t word :
       {0u, 1u, 2u, 255u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFF00u, 0xFFFFFFFEu, ~0u}) {
    EXPECT_TRUE(std::isfinite(GumbelFromWord(word))) << word;
  }
}

TEST(DrawKeyTest, NoVariateExceedsTheBoundOfItsWord) {
  for (uint32_t shift = 0; shift < 32; ++shift) {
    for (uint32_t low : {0u, 1u, 0x55555555u, 0xFFFFFFFFu}) {
      const uint32_t word = (0x80000000u | low >> 1) >> shift;  // `shift` leading zeros
      EXPECT_LE(GumbelFromWord(word), GumbelBound(word)) << word;
    }
  }
  EXPECT_LE(GumbelFromWord(0), GumbelBound(0));
  // No bound that is never of use, either.
  EXPECT_LT(GumbelBound(0x80000000u), 0.7f);
}

TEST(DrawKeyTest, GumbelFallsAsTheWordRises) {
  float last = GumbelFromWord(0);
  for (uint64_t word = 1; word < (uint64_t{1} << 32); word += 0x10001) {
    const float g = GumbelFromWord(static_cast<uint32_t>(word));
    EXPECT_LE(g, last) << word;
    last = g;
  }
}

TEST(DrawKeyTest, TheWinningTailIsThatOfTheLaw) {
  for (uint32_t word : {0u, 1u, 10u, 1000u, 1u << 20}) {
    const double v = (double{static_cast<double>(word)} + 0.5) * 0x1p-32;
    EXPECT_NEAR(GumbelFromWord(word), -std::log(-std::log1p(-v)), 1e-5) << word;
  }
}

TEST(DrawKeyTest, SampleZeroKeepsItsSeed) {
  for (uint64_t seed : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}}) {
    EXPECT_EQ(DeriveSeed(seed, 0), seed);
  }
}

TEST(DrawKeyTest, DerivedSeedsAreAllDifferent) {
  std::set<uint64_t> seeds;
  for (uint64_t seed = 0; seed < 64; ++seed) {
    for (uint32_t index = 0; index < 64; ++index) seeds.insert(DeriveSeed(seed, index));
  }
  EXPECT_EQ(seeds.size(), 64u * 64u);
}

}  // namespace
}  // namespace sdar
