// SPDX-License-Identifier: Apache-2.0
// Every backend's routing and experts against the float64 references.
#include "tests/kernels/targets.h"

namespace sdar {
namespace {

class ExpertTest : public BackendTest {
 protected:
  void CheckRoute(const Matrix& z, int64_t k, bool renormalize) {
    const DeviceMatrix logits = Upload(z, DType::kFloat32, 3);
    const auto slots = static_cast<size_t>(z.rows * k);
    const DeviceBuffer ids = UploadAll(std::vector<int32_t>(slots, -7));
    const DeviceBuffer weights = UploadAll(std::vector<float>(slots));
    backend().Run(op::Route{logits.view, k, renormalize, static_cast<int32_t*>(ids.data()),
                            static_cast<float*>(weights.data())});
    const Routing want = ReferenceRoute(z, k, renormalize);
    EXPECT_EQ(DownloadAll<int32_t>(ids, slots), want.ids);
    const std::vector<float> got = DownloadAll<float>(weights, slots);
    // Differences of logits carry their rounding into the exponent.
    for (size_t i = 0; i < slots; ++i) {
      EXPECT_NEAR(got[i], want.weights[i], 4e-5 * want.weights[i] + 1e-37);
    }
  }

  // Experts [first, first + count) of a layer with `width`, for rows routed by `ids`.
  struct Layer {
    std::vector<Matrix> gate_up;
    std::vector<Matrix> down;
  };
  Layer MakeLayer(size_t count, int64_t hidden, int64_t width) {
    Layer layer;
    for (size_t e = 0; e < count; ++e) {
      layer.gate_up.push_back(
          Rounded(DType::kBFloat16, RandomMatrix(random(), 2 * width, hidden, 0.3)));
      layer.down.push_back(Rounded(DType::kBFloat16, RandomMatrix(random(), hidden, width, 0.3)));
    }
    return layer;
  }

  // The layer's experts with the ids first .. end - 1 live on the device.
  Matrix Run(const Layer& layer, size_t first, size_t end, const Matrix& x, int64_t k,
             const std::vector<int32_t>& ids, const std::vector<float>& weights) {
    ExpertWeights experts;
    experts.first_expert = static_cast<int64_t>(first);
    for (size_t e = first; e < end; ++e) {
      experts.gate_up.push_back(PackMatrix(layer.gate_up[e]));
      experts.down.push_back(PackMatrix(layer.down[e]));
    }
    const DeviceMatrix rows = Upload(x, act(), 2);
    DeviceMatrix out = Upload(RandomMatrix(random(), x.rows, x.cols), DType::kFloat32, 3);
    const DeviceBuffer device_ids = UploadAll(ids), device_weights = UploadAll(weights);
    backend().Run(op::Experts{experts, rows.view, k, static_cast<const int32_t*>(device_ids.data()),
                              static_cast<const float*>(device_weights.data()), out.view});
    return Download(out);
  }

  Matrix Reference(const Layer& layer, size_t first, size_t end, const Matrix& x, int64_t k,
                   const std::vector<int32_t>& ids, const std::vector<float>& weights) {
    Matrix out(x.rows, x.cols);
    for (int64_t r = 0; r < x.rows; ++r) {
      Matrix row(1, x.cols);
      for (int64_t c = 0; c < x.cols; ++c) row(0, c) = x(r, c);
      for (int64_t s = r * k; s < (r + 1) * k; ++s) {
        const auto slot = static_cast<size_t>(s);
        const auto e = static_cast<size_t>(ids[slot]);
        if (e < first || e >= end) continue;
        const Matrix y = ReferenceExpert(row, layer.gate_up[e], layer.down[e],
                                         [&](double v) { return double{RoundTo(act(), v)}; });
        for (int64_t c = 0; c < x.cols; ++c) out(r, c) += double{weights[slot]} * y(0, c);
      }
    }
    return out;
  }

  // The rounding of activations may fall differently where sums differ by a unit: of each row's
  // norm, one rounding spread over the width.
  void Check(const Layer& layer, size_t first, size_t end, const Matrix& x, int64_t k,
             const std::vector<int32_t>& ids) {
    std::vector<float> weights;
    for (size_t i = 0; i < ids.size(); ++i) weights.push_back(0.1f * static_cast<float>(1 + i % 7));
    const Matrix want = Reference(layer, first, end, x, k, ids, weights);
    double largest = 0;
    for (double v : want.values) largest = std::max(largest, std::abs(v));
    const Matrix got = Run(layer, first, end, x, k, ids, weights);
    ExpectNear(got, want, [&](int64_t, int64_t) { return (1e-5 + ActRounding()) * largest; });
  }

  std::vector<int32_t> RandomIds(int64_t rows, int64_t k, int32_t experts) {
    std::vector<int32_t> ids;
    for (int64_t r = 0; r < rows; ++r) {
      const auto start = static_cast<int32_t>(random()() % static_cast<uint32_t>(experts));
      for (int64_t s = 0; s < k; ++s)
        ids.push_back((start + 3 * static_cast<int32_t>(s)) % experts);
    }
    return ids;
  }
};
INSTANTIATE_TEST_SUITE_P(AllTargets, ExpertTest, ::testing::ValuesIn(AllTargets()), NameOfTarget);

TEST_P(ExpertTest, RouteTakesTheMostProbableExperts) {
  for (int64_t k : {1, 2, 8}) CheckRoute(RandomMatrix(random(), 9, 128, 3), k, false);
}

TEST_P(ExpertTest, RouteRenormalisesWhereAsked) {
  for (int64_t k : {1, 2, 8}) CheckRoute(RandomMatrix(random(), 9, 128, 3), k, true);
}

TEST_P(ExpertTest, RouteBreaksTiesToTheLowerId) {
  Matrix z(3, 8);
  z(1, 3) = z(1, 6) = z(1, 7) = 1;
  z(2, 0) = -1;
  CheckRoute(z, 4, true);
}

TEST_P(ExpertTest, RouteMayTakeEveryExpert) { CheckRoute(RandomMatrix(random(), 3, 6), 6, true); }

TEST_P(ExpertTest, RouteOfLargeLogitsIsFinite) {
  CheckRoute(RandomMatrix(random(), 4, 16, 60), 4, true);
}

TEST_P(ExpertTest, ExpertsWeighAndAddTheirRows) {
  const Layer layer = MakeLayer(7, 32, 24);
  const Matrix x = Rounded(act(), RandomMatrix(random(), 11, 32));
  Check(layer, 0, 7, x, 3, RandomIds(11, 3, 7));
}

TEST_P(ExpertTest, ExpertsMayHaveManyRows) {
  const Layer layer = MakeLayer(3, 72, 40);
  const Matrix x = Rounded(act(), RandomMatrix(random(), 150, 72));
  Check(layer, 0, 3, x, 2, RandomIds(150, 2, 3));
  Check(layer, 1, 3, x, 2, RandomIds(150, 2, 3));
}

TEST_P(ExpertTest, OnlyExpertsThatLiveHereCount) {
  const Layer layer = MakeLayer(7, 33, 17);
  const Matrix x = Rounded(act(), RandomMatrix(random(), 6, 33));
  const std::vector<int32_t> ids = RandomIds(6, 2, 7);
  Check(layer, 2, 5, x, 2, ids);
  Check(layer, 6, 7, x, 2, ids);
}

TEST_P(ExpertTest, AnExpertWithoutRowsIsPassedOver) {
  const Layer layer = MakeLayer(4, 16, 8);
  const Matrix x = Rounded(act(), RandomMatrix(random(), 5, 16));
  Check(layer, 0, 4, x, 2, {3, 0, 0, 3, 3, 0, 0, 3, 3, 0});
}

TEST_P(ExpertTest, RowsWithoutALocalExpertBecomeZero) {
  const Layer layer = MakeLayer(4, 16, 8);
  const Matrix x = Rounded(act(), RandomMatrix(random(), 2, 16));
  const Matrix got = Run(layer, 2, 4, x, 2, {0, 1, 1, 0}, {1, 1, 1, 1});
  for (double v : got.values) EXPECT_EQ(v, 0);
}

TEST_P(ExpertTest, ADeviceWithoutExpertsGivesZeros) {
  const Layer layer = MakeLayer(1, 16, 8);
  const Matrix x = Rounded(act(), RandomMatrix(random(), 2, 16));
  for (double v : Run(layer, 1, 1, x, 1, {0, 0}, {1, 1}).values) EXPECT_EQ(v, 0);
}

TEST_P(ExpertTest, NoRowsAreNoWork) {
  const Layer layer = MakeLayer(2, 16, 8);
  EXPECT_EQ(Run(layer, 0, 2, Matrix(0, 16), 1, {}, {}).rows, 0);
}

}  // namespace
}  // namespace sdar
