// SPDX-License-Identifier: Apache-2.0
// Arithmetic that does not depend on company: a row's output has the same bits alone, among few and
// among many (docs/design.md, section 4).
#include "tests/kernels/step_fixture.h"

namespace sdar {
namespace {

class SameBitsTest : public StepTest {
 protected:
  static Matrix Rows(const Matrix& m, int64_t first, int64_t count) {
    Matrix part(count, m.cols);
    std::copy_n(m.values.begin() + first * m.cols, count * m.cols, part.values.begin());
    return part;
  }

  Matrix MatMul(const PackedWeight& weight, const Matrix& x) {
    const DeviceMatrix on_device = Upload(x, act());
    DeviceMatrix out = Upload(Matrix(x.rows, weight.rows), DType::kFloat32);
    backend().Run(op::MatMul{weight, on_device.view, out.view});
    return Download(out);
  }
};
INSTANTIATE_TEST_SUITE_P(AllTargets, SameBitsTest, ::testing::ValuesIn(AllTargets()), NameOfTarget);

TEST_P(SameBitsTest, MatMulRowsDoNotDependOnTheNumberOfRows) {
  for (int64_t k : {7, 64, 515, 2050}) {
    const PackedWeight weight = PackMatrix(RandomMatrix(random(), 70, k));
    const Matrix x = Rounded(act(), RandomMatrix(random(), 40, k));
    const Matrix whole = MatMul(weight, x);
    for (int64_t count = 1; count <= 40; ++count) {
      for (int64_t first : {int64_t{0}, 40 - count}) {
        EXPECT_EQ(MatMul(weight, Rows(x, first, count)).values, Rows(whole, first, count).values)
            << count << " rows from " << first << ", k " << k;
      }
    }
  }
}

// Heads of whole vectors, which kernels may treat apart, and others.
constexpr int64_t kHeadDims[] = {16, 32, 128};

TEST_P(SameBitsTest, AttentionDoesNotDependOnOtherSegments) {
  for (int64_t head_dim : kHeadDims) {
    const StepSpec spec{.shape = MakeShape(4, 2, head_dim),
                        .page_size = 8,
                        .segments = {{72, 12, 4}, {0, 3, 4}, {16, 16, 8}, {64, 4, 4}}};
    Step step = MakeStep(spec);
    const Matrix whole = Attend(spec, step);
    for (const AttentionSegment& segment : step.segments) {
      Step alone;
      alone.qkv = Rows(step.qkv, segment.first_row, segment.num_rows);
      alone.segments = {segment};
      alone.segments[0].first_row = 0;
      alone.page_table = step.page_table;
      alone.keys = step.keys;
      alone.values = step.values;
      const auto rows = static_cast<size_t>(segment.num_rows);
      alone.kv_slots.assign(rows, -1);
      for (int32_t i = 0; i < segment.num_rows; ++i) {
        alone.positions.push_back(segment.first_position + i);
      }
      EXPECT_EQ(Attend(spec, alone).values, Rows(whole, segment.first_row, segment.num_rows).values)
          << "heads of " << head_dim;
    }
  }
}

// A sequence's earlier rows are in its pages, or in the step's own rows: the same keys.
TEST_P(SameBitsTest, AttentionDoesNotDependOnWhereKeysLie) {
  for (int64_t d : kHeadDims) {
    const StepSpec fused{.shape = MakeShape(4, 2, d), .page_size = 16, .segments = {{64, 16, 4}}};
    Step step = MakeStep(fused);
    const Matrix whole = Attend(fused, step);
    for (int32_t committed : {4, 8, 12}) {
      Step later = MakeStep(fused);  // for its buffers' sizes
      later.keys = step.keys;
      later.values = step.values;
      later.qkv = Rows(step.qkv, committed, 16 - committed);
      later.page_table = step.page_table;
      later.segments = {{0, 16 - committed, 64 + committed, 4, 0}};
      later.positions.assign(step.positions.begin() + committed, step.positions.end());
      later.kv_slots.assign(later.positions.size(), -1);
      for (int32_t r = 0; r < committed; ++r) {
        const int32_t page = step.page_table[static_cast<size_t>((64 + r) / 16)];
        for (int64_t h = 0; h < 2; ++h) {
          for (int64_t i = 0; i < d; ++i) {
            later.keys.At(page, h, (64 + r) % 16, i) = step.qkv(r, (4 + h) * d + i);
            later.values.At(page, h, (64 + r) % 16, i) = step.qkv(r, (6 + h) * d + i);
          }
        }
      }
      EXPECT_EQ(Attend(fused, later).values, Rows(whole, committed, 16 - committed).values)
          << committed << " committed, heads of " << d;
    }
  }
}

TEST_P(SameBitsTest, ExpertRowsDoNotDependOnOtherRows) {
  ExpertWeights experts;
  for (int e = 0; e < 4; ++e) {
    experts.gate_up.push_back(PackMatrix(RandomMatrix(random(), 48, 40)));
    experts.down.push_back(PackMatrix(RandomMatrix(random(), 40, 24)));
  }
  const Matrix x = Rounded(act(), RandomMatrix(random(), 33, 40));
  std::vector<int32_t> ids;
  std::vector<float> weights;
  for (int32_t i = 0; i < 33; ++i) {
    ids.insert(ids.end(), {i % 4, (i * i + 1 + i % 4) % 4});
    weights.insert(weights.end(), {0.7f, 0.3f});
  }
  const auto run = [&](int64_t first, int64_t count) {
    const DeviceMatrix rows = Upload(Rows(x, first, count), act());
    DeviceMatrix out = Upload(Matrix(count, 40), DType::kFloat32);
    const DeviceBuffer i = UploadAll(ids), w = UploadAll(weights);
    backend().Run(op::Experts{experts, rows.view, 2,
                              static_cast<const int32_t*>(i.data()) + 2 * first,
                              static_cast<const float*>(w.data()) + 2 * first, out.view});
    return Download(out);
  };
  const Matrix whole = run(0, 33);
  for (int64_t first = 0; first < 33; ++first) {
    for (int64_t count : {int64_t{1}, (33 - first) / 2, 33 - first}) {
      EXPECT_EQ(run(first, count).values, Rows(whole, first, count).values) << first;
    }
  }
}

TEST(SameBitsOfThreadsTest, ANumberOfThreadsChangesNoBit) {
  std::mt19937 random(3);
  const Matrix weight = RandomMatrix(random, 100, 77);
  const Matrix x = RandomMatrix(random, 9, 77);
  const std::vector<std::byte> bytes = Encode(DType::kBFloat16, weight.values);
  std::vector<float> first;
  for (int threads = 1; threads <= 4; ++threads) {
    CpuBackendOptions options;
    options.act_dtype = DType::kFloat32;
    options.instruction_set = BestInstructionSet();
    options.cores.num_threads = threads;
    auto backend = CpuBackend::Create(options);
    ASSERT_TRUE(backend.ok());
    auto packed =
        (*backend)->Pack({{bytes.data(), DType::kBFloat16, 100, 77}}, 77, WeightFormat::kAct);
    ASSERT_TRUE(packed.ok());
    std::vector<float> in(x.values.begin(), x.values.end()), out(900);
    (*backend)->Run(op::MatMul{*packed, MakeView(in.data(), DType::kFloat32, 9, 77),
                               MakeView(out.data(), DType::kFloat32, 9, 100)});
    if (threads == 1) first = out;
    EXPECT_EQ(out, first) << threads << " threads";
  }
}

}  // namespace
}  // namespace sdar
