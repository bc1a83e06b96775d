// SPDX-License-Identifier: Apache-2.0
#include "runtime/model/rope.h"

#include <iterator>
#include <string>

#include "gtest/gtest.h"

namespace sdar {
namespace {

ModelConfig Config(const RopeScaling& scaling) {
  ModelConfig config;
  config.head_dim = 128;
  config.rope_theta = 1e6;
  config.rope_scaling = scaling;
  return config;
}

// What transformers 5.24 computes for pairs kPairs of these configs, 40,960 positions.
constexpr size_t kPairs[] = {0, 1, 10, 20, 24, 28, 32, 36, 40, 50, 63};

struct RopeCase {
  const char* name;
  RopeScaling scaling;
  double scale;
  double frequencies[11];
};

RopeScaling Yarn(double factor, int64_t original) {
  RopeScaling scaling;
  scaling.type = RopeType::kYarn;
  scaling.factor = factor;
  scaling.original_max_position_embeddings = original;
  return scaling;
}

RopeScaling Untruncated() {
  RopeScaling scaling = Yarn(4, 32768);
  scaling.truncate = false;
  return scaling;
}

RopeScaling WithBetas() {
  RopeScaling scaling = Yarn(2.5, 4096);
  scaling.beta_fast = 16;
  scaling.beta_slow = 2;
  scaling.attention_factor = 1.5;
  return scaling;
}

RopeScaling WithMagnitudes() {
  RopeScaling scaling = Yarn(40, 4096);
  scaling.mscale = 1.0;
  scaling.mscale_all_dim = 0.8;
  return scaling;
}

RopeScaling Linear() {
  RopeScaling scaling;
  scaling.type = RopeType::kLinear;
  scaling.factor = 3;
  return scaling;
}

class RopeTableTest : public ::testing::TestWithParam<RopeCase> {};

TEST_P(RopeTableTest, IsThatOfTransformers) {
  const RopeTable table = MakeRopeTable(Config(GetParam().scaling));
  ASSERT_EQ(table.frequencies.size(), 64u);
  EXPECT_NEAR(table.scale, GetParam().scale, 1e-7 * GetParam().scale);
  for (size_t i = 0; i < std::size(kPairs); ++i) {
    const double want = GetParam().frequencies[i];
    EXPECT_NEAR(table.frequencies[kPairs[i]], want, 2e-6 * want) << "pair " << kPairs[i];
  }
}

INSTANTIATE_TEST_SUITE_P(
    Scalings, RopeTableTest,
    ::testing::Values(
        RopeCase{"yarn",
                 Yarn(4, 32768),
                 1.138629436111989,
                 {1.0, 0.805842221, 0.115478203, 0.0133352149, 0.00537532149, 0.00184827659,
                  0.000602941145, 0.000179841154, 4.44569851e-05, 5.13381246e-06, 3.10234441e-07}},
        RopeCase{"yarn_untruncated",
                 Untruncated(),
                 1.138629436111989,
                 {1.0, 0.805842221, 0.115478203, 0.0133352149, 0.00551727042, 0.00188350258,
                  0.000607408001, 0.000177344235, 4.44569851e-05, 5.13381246e-06, 3.10234441e-07}},
        RopeCase{"yarn_betas",
                 WithBetas(),
                 1.5,
                 {1.0, 0.805842221, 0.115478203, 0.0109348763, 0.00326157967, 0.000948549539,
                  0.00039999999, 0.000168678598, 7.11311732e-05, 8.21409958e-06, 4.96375094e-07}},
        RopeCase{"yarn_magnitudes",
                 WithMagnitudes(),
                 1.0569662567531275,
                 {1.0, 0.805842221, 0.115478203, 0.00827894546, 0.00227279635, 0.000444632664,
                  2.49999994e-05, 1.05424124e-05, 4.44569832e-06, 5.13381224e-07, 3.10234434e-08}},
        RopeCase{
            "linear",
            Linear(),
            1.0,
            {0.333333343, 0.268614084, 0.0384927355, 0.0044450718, 0.00187447108, 0.00079045794,
             0.000333333359, 0.000140565491, 5.92759789e-05, 6.84508313e-06, 4.13645921e-07}},
        RopeCase{"unscaled",
                 RopeScaling(),
                 1.0,
                 {1.0, 0.805842188, 0.115478198, 0.0133352143, 0.00562341325, 0.00237137371, 0.001,
                  0.000421696503, 0.000177827941, 2.05352503e-05, 1.24093776e-06}}),
    [](const ::testing::TestParamInfo<RopeCase>& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace sdar
