// SPDX-License-Identifier: Apache-2.0
// The tile unit against its emulation, bit by bit.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>

#include "gtest/gtest.h"

#include "kernels/cpu/instruction_set.h"

#define SDAR_TILES_HARDWARE 1
#define SDAR_TILES_EMULATED 2

namespace sdar {
namespace {

#if defined(__x86_64__)
namespace hardware {
#define SDAR_TILES SDAR_TILES_HARDWARE
#include "kernels/cpu/simd/tiles-inl.h"
#undef SDAR_TILES
}  // namespace hardware
#endif
namespace emulated {
#define SDAR_TILES SDAR_TILES_EMULATED
#include "kernels/cpu/simd/tiles-inl.h"
#undef SDAR_TILES
}  // namespace emulated

struct Square {
  alignas(64) uint32_t words[16][16];
};

enum class Product { kBFloat16, kBytes };

// c + a * b for `rows` rows of a and c.
template <typename Tiles, Product kProduct>
Square AddProduct(const Square& a, const Square& b, const Square& c, uint8_t rows) {
  const uint8_t shape[8] = {rows, rows, 16, 16, 16, 16, 16, 16};
  Tiles tiles(shape);
  Square out = c;
  tiles.template Load<0>(c.words, 64);
  tiles.template LoadPassing<1>(a.words, 64);
  tiles.template Load<2>(b.words, 64);
  if constexpr (kProduct == Product::kBFloat16) {
    tiles.template AddBFloat16<0, 1, 2>();
  } else {
    tiles.template AddBytes<0, 1, 2>();
  }
  tiles.template Store<0>(out.words, 64);
  return out;
}

uint32_t Bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Pairs of bfloat16 of one kind: any bits at all, denormals and infinities among them; products
// that are denormal; products about as large as one; numbers of ordinary size.
uint32_t RandomPair(std::mt19937& random, int kind) {
  if (kind == 0) return static_cast<uint32_t>(random());
  const int exponent = kind == 1 ? -70 : (kind == 2 ? -62 : 0);
  std::normal_distribution<float> normal;
  const uint32_t low = Bits(std::ldexp(normal(random), exponent)) >> 16;
  return low |
         (Bits(std::ldexp(normal(random), exponent + (random() % 2 == 0 ? 0 : 8))) & 0xFFFF0000u);
}

bool IsNan(uint32_t bits) { return (bits & 0x7FFFFFFFu) > 0x7F800000u; }

TEST(EmulatedTilesTest, ProductsOfOrdinaryNumbersAreThoseOfFloat64) {
  std::mt19937 random(1);
  Square a, b, c = {};
  for (auto& row : a.words) {
    for (uint32_t& word : row) word = RandomPair(random, 3);
  }
  for (auto& row : b.words) {
    for (uint32_t& word : row) word = RandomPair(random, 3);
  }
  const Square out = AddProduct<emulated::Tiles, Product::kBFloat16>(a, b, c, 16);
  const auto value = [](uint32_t bits) {
    float narrow;
    std::memcpy(&narrow, &bits, sizeof narrow);
    return double{narrow};
  };
  for (int m = 0; m < 16; ++m) {
    for (int n = 0; n < 16; ++n) {
      double sum = 0, size = 0;
      for (int w = 0; w < 16; ++w) {
        for (const int shift : {16, 0}) {
          const double product = value(a.words[m][w] << shift & 0xFFFF0000u) *
                                 value(b.words[w][n] << shift & 0xFFFF0000u);
          sum += product;
          size += std::abs(product);
        }
      }
      EXPECT_NEAR(value(out.words[m][n]), sum, size * 0x1p-22);
    }
  }
}

TEST(EmulatedTilesTest, RowsThatAreNotThereStayAsTheyAre) {
  Square a, b, c;
  std::memset(&a, 0x3F, sizeof a);
  std::memset(&b, 0x3F, sizeof b);
  std::memset(&c, 0x40, sizeof c);
  const Square out = AddProduct<emulated::Tiles, Product::kBytes>(a, b, c, 5);
  EXPECT_NE(std::memcmp(out.words[4], c.words[4], 64), 0);
  EXPECT_EQ(std::memcmp(out.words[5], c.words[5], 11 * 64), 0);
}

#if defined(__x86_64__)
// SDAR_TILE_ROUNDS: how many tiles, where more are wanted than a test has time for.
TEST(EmulatedTilesTest, HaveTheBitsOfTheTileUnit) {
  if (BestInstructionSet() < InstructionSet::kAmx) GTEST_SKIP() << "this machine has no amx";
  const char* wanted = std::getenv("SDAR_TILE_ROUNDS");
  const int rounds = wanted == nullptr ? 20000 : std::atoi(wanted);
  std::mt19937 random(7);
  for (int round = 0; round < rounds; ++round) {
    Square a, b, c;
    const int kind = round % 4;
    for (auto& row : a.words) {
      for (uint32_t& word : row) word = RandomPair(random, kind);
    }
    for (auto& row : b.words) {
      for (uint32_t& word : row) word = RandomPair(random, kind);
    }
    for (auto& row : c.words) {
      for (uint32_t& word : row) word = kind == 3 ? 0 : static_cast<uint32_t>(random());
    }
    const auto rows = static_cast<uint8_t>(1 + random() % 16);
    const Square want = AddProduct<hardware::Tiles, Product::kBFloat16>(a, b, c, rows);
    const Square got = AddProduct<emulated::Tiles, Product::kBFloat16>(a, b, c, rows);
    for (int m = 0; m < 16; ++m) {
      for (int n = 0; n < 16; ++n) {
        if (IsNan(want.words[m][n]) && IsNan(got.words[m][n])) continue;
        ASSERT_EQ(got.words[m][n], want.words[m][n]) << "tile " << round << ", " << m << ", " << n;
      }
    }
    const Square want_bytes = AddProduct<hardware::Tiles, Product::kBytes>(a, b, c, rows);
    const Square got_bytes = AddProduct<emulated::Tiles, Product::kBytes>(a, b, c, rows);
    ASSERT_EQ(std::memcmp(&got_bytes, &want_bytes, sizeof got_bytes), 0) << "tile " << round;
  }
}
#endif

}  // namespace
}  // namespace sdar
