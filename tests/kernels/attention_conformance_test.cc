// SPDX-License-Identifier: Apache-2.0
// Every backend's norm, RoPE, K/V write and block attention against the float64 references.
#include "tests/kernels/step_fixture.h"

namespace sdar {
namespace {

class AttentionTest : public StepTest {
 protected:
  // Checks `spec`, and once more with heads of whole vectors, which kernels may treat apart.
  void Check(StepSpec spec) {
    CheckOnce(spec);
    spec.shape.head_dim = 32;
    CheckOnce(spec);
  }

  // Compares the attention of `spec` with the reference. Scores of keys of norm |k| err by about
  // |q| |k| units of rounding, which weights carry on to the values. Weights may be rounded: each
  // changes what its value adds and the sum that all are divided by.
  void CheckOnce(const StepSpec& spec) {
    Step step = MakeStep(spec);
    const Matrix want = Reference(spec, step, step.values, step.qkv);
    HostPages value_sizes = step.values;
    for (double& v : value_sizes.values) v = std::abs(v);
    const Matrix sizes = Reference(spec, step, value_sizes, WithOwnValueSizes(spec, step.qkv));
    const Matrix got = Attend(spec, step);
    const double unit = 1e-5 * (1 + spec.scale * spec.scale * std::sqrt(spec.shape.head_dim));
    ExpectNear(got, want, [&](int64_t r, int64_t c) {
      const double size = std::abs(want(r, c));
      const double weights = ActRounding() / 2 * (sizes(r, c) + size);
      return 4 * spec.scale * unit + weights + ActRounding() * size;
    });
  }

 private:
  static Matrix Reference(const StepSpec& spec, Step& step, HostPages& values, const Matrix& qkv) {
    return ReferenceAttention(spec.shape, step.segments, step.page_table, step.keys, values, qkv);
  }

  static Matrix WithOwnValueSizes(const StepSpec& spec, Matrix qkv) {
    const int64_t first = (spec.shape.num_heads + spec.shape.num_kv_heads) * spec.shape.head_dim;
    for (int64_t r = 0; r < qkv.rows; ++r) {
      for (int64_t c = first; c < qkv.cols; ++c) qkv(r, c) = std::abs(qkv(r, c));
    }
    return qkv;
  }
};
INSTANTIATE_TEST_SUITE_P(AllTargets, AttentionTest, ::testing::ValuesIn(AllTargets()),
                         NameOfTarget);

TEST_P(AttentionTest, ABlockSeesItselfWhole) {
  for (int32_t block : {1, 4, 8, 16, 64}) Check({.segments = {{0, block, block}}});
}

TEST_P(AttentionTest, LaterBlocksSeeEarlierOnesAndNotTheReverse) {
  for (int32_t block : {4, 8, 16}) Check({.segments = {{0, 4 * block, block}}});
}

TEST_P(AttentionTest, TheLastBlockMayBePartial) {
  for (int32_t rows : {1, 3, 5, 7, 13, 67}) Check({.segments = {{0, rows, 4}, {8, rows, 8}}});
}

TEST_P(AttentionTest, CommittedPositionsAreReadFromPagesOfEverySize) {
  for (int64_t page_size : {4, 8, 16, 32, 64}) {
    Check({.page_size = page_size, .segments = {{20, 8, 4}, {64, 4, 4}, {4, 4, 4}}});
  }
}

TEST_P(AttentionTest, ContextMayExceedOneKeyTile) {
  for (int32_t context : {56, 60, 64, 68, 124, 128, 132, 260}) {
    Check({.page_size = 16, .segments = {{context, 8, 4}}});
  }
}

TEST_P(AttentionTest, EveryNumberOfHeadsShareAKeyHead) {
  for (int64_t group = 1; group <= 8; ++group) {
    Check({.shape = MakeShape(2 * group, 2, 16), .segments = {{12, 6, 4}}});
  }
}

TEST_P(AttentionTest, ManyRowsOfManyHeadsSeeSeveralKeyTiles) {
  for (int64_t group : {1, 3, 5}) {
    Check({.shape = MakeShape(2 * group, 2, 40), .segments = {{200, 43, 4}, {8, 50, 8}}});
  }
}

TEST_P(AttentionTest, EveryHeadDimensionWorks) {
  for (int64_t head_dim : {2, 6, 8, 24, 32, 64, 96, 128}) {
    CheckOnce({.shape = MakeShape(4, 2, head_dim), .segments = {{12, 6, 4}, {140, 5, 4}}});
  }
}

TEST_P(AttentionTest, SegmentsOfOneStepDoNotSeeEachOther) {
  Check({.segments = {{0, 8, 4}, {16, 8, 8}, {0, 3, 4}, {32, 16, 16}, {8, 1, 4}}});
}

TEST_P(AttentionTest, SegmentsOfOneSequenceShareItsPages) {
  Check({.segments = {{16, 4, 4}, {16, 4, 4}, {16, 8, 4}}, .shared_pages = true});
}

TEST_P(AttentionTest, LargeScoresNeitherOverflowNorVanish) {
  Check({.scale = 8, .segments = {{100, 8, 4}}});
}

// In turn on one backend, which may keep what it computed for the last.
TEST_P(AttentionTest, QkNormRopeWriteFollowsItsDefinition) {
  struct Rotation {
    int64_t head_dim;
    double theta;
    float scale;
  };
  for (const Rotation& rotation :
       {Rotation{2, 1e4, 1}, Rotation{8, 1e4, 1}, Rotation{24, 1e4, 1}, Rotation{128, 1e4, 1},
        Rotation{128, 5e5, 1}, Rotation{128, 5e5, 1.25f}}) {
    const int64_t head_dim = rotation.head_dim;
    StepSpec spec{.shape = MakeShape(4, 2, head_dim), .segments = {{8, 8, 4}, {300, 3, 4}}};
    spec.rope_theta = rotation.theta;
    spec.rope_scale = rotation.scale;
    Step step = MakeStep(spec);
    const Matrix q_norm = RandomMatrix(random(), 1, head_dim);
    const Matrix k_norm = RandomMatrix(random(), 1, head_dim);
    const Matrix got = NormAndWrite(spec, step, q_norm, k_norm);
    Matrix want = step.qkv;
    for (int64_t r = 0; r < want.rows; ++r) {
      for (int64_t h = 0; h < 6; ++h) {
        ReferenceNormRope(&want(r, h * head_dim), h < 4 ? q_norm : k_norm, 1e-6, rotation.theta,
                          rotation.scale, head_dim, step.positions[static_cast<size_t>(r)]);
      }
    }
    // Angles are products in float32, as the reference implementation's: 300 radians to 2e-5.
    const double largest = 4 * std::sqrt(head_dim) * rotation.scale;
    ExpectNear(got, want, [&](int64_t, int64_t) { return 5e-4 + ActRounding() * largest; });
  }
}

TEST_P(AttentionTest, HeadsAreRoundedInPlaceAndThoseOfKeysAndValuesInTheirPages) {
  const StepSpec spec{.page_size = 8, .segments = {{8, 8, 4}, {4, 4, 4}}};
  Step step = MakeStep(spec);
  const int64_t d = spec.shape.head_dim;
  const Matrix ones = Ones(d);
  const Matrix got = NormAndWrite(spec, step, ones, ones);
  HostPages keys = DownloadPages(step.device_keys, step.keys);
  HostPages values = DownloadPages(step.device_values, step.values);
  for (double v : got.values) EXPECT_EQ(v, double{RoundTo(act(), v)});
  for (int64_t r = 0; r < got.rows; ++r) {
    const int64_t slot = step.kv_slots[static_cast<size_t>(r)];
    if (slot < 0) continue;
    for (int64_t h = 0; h < spec.shape.num_kv_heads; ++h) {
      for (int64_t i = 0; i < d; ++i) {
        const double k = got(r, (spec.shape.num_heads + h) * d + i);
        const double v = got(r, (spec.shape.num_heads + spec.shape.num_kv_heads + h) * d + i);
        EXPECT_EQ(keys.At(slot / 8, h, slot % 8, i), k);
        EXPECT_EQ(values.At(slot / 8, h, slot % 8, i), v);
      }
    }
  }
}

TEST_P(AttentionTest, RowsWithoutASlotLeaveEveryPageAlone) {
  const StepSpec spec{.segments = {{8, 8, 4}, {4, 4, 4}}};
  Step step = MakeStep(spec);
  std::fill(step.kv_slots.begin(), step.kv_slots.end(), -1);
  const Matrix ones = Ones(spec.shape.head_dim);
  NormAndWrite(spec, step, ones, ones);
  EXPECT_EQ(DownloadPages(step.device_keys, step.keys).values, step.keys.values);
  EXPECT_EQ(DownloadPages(step.device_values, step.values).values, step.values.values);
}

TEST_P(AttentionTest, OnlyTheSlotsOfTheRowsAreWritten) {
  const StepSpec spec{.page_size = 4, .segments = {{8, 8, 4}}};
  Step step = MakeStep(spec);
  const Matrix ones = Ones(spec.shape.head_dim);
  NormAndWrite(spec, step, ones, ones);
  HostPages keys = DownloadPages(step.device_keys, step.keys);
  size_t changed = 0;
  for (size_t i = 0; i < keys.values.size(); ++i) changed += keys.values[i] != step.keys.values[i];
  const auto written = static_cast<size_t>(
      std::count_if(step.kv_slots.begin(), step.kv_slots.end(), [](int64_t s) { return s >= 0; }));
  EXPECT_LE(changed, written * static_cast<size_t>(spec.shape.num_kv_heads * spec.shape.head_dim));
}

}  // namespace
}  // namespace sdar
