// SPDX-License-Identifier: Apache-2.0
// Calls made over and over under one key.
#include "gmock/gmock.h"

#include "tests/kernels/targets.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

class RepeatTest : public BackendTest {
 protected:
  // Experts of width 16 for `rows` rows of 16: their workspace grows with the rows.
  struct ExpertsCall {
    ExpertWeights weights;
    DeviceBuffer ids, routing;
    DeviceMatrix x, out;
  };

  ExpertsCall MakeExperts(int64_t rows) {
    ExpertsCall call;
    for (int e = 0; e < 2; ++e) {
      call.weights.gate_up.push_back(PackMatrix(RandomMatrix(random(), 32, 16)));
      call.weights.down.push_back(PackMatrix(RandomMatrix(random(), 16, 16)));
    }
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < rows; ++i) ids.push_back(static_cast<int32_t>(i % 2));
    call.ids = UploadAll(ids);
    call.routing = UploadAll(std::vector<float>(ids.size(), 1.0f));
    call.x = Upload(Rounded(act(), RandomMatrix(random(), rows, 16)), act());
    call.out = Upload(Matrix(rows, 16), DType::kFloat32);
    return call;
  }

  absl::Status Run(const ExpertsCall& call) {
    return backend().Repeat({call.x.view.rows}, [&] {
      backend().Run(op::Experts{call.weights, call.x.view, 1,
                                static_cast<const int32_t*>(call.ids.data()),
                                static_cast<const float*>(call.routing.data()), call.out.view});
      return absl::OkStatus();
    });
  }
};
INSTANTIATE_TEST_SUITE_P(AllTargets, RepeatTest, ::testing::ValuesIn(AllTargets()), NameOfTarget);

TEST_P(RepeatTest, EveryCallUsesWhatTheMemoryHoldsThen) {
  const PackedWeight weight = PackMatrix(Rounded(DType::kBFloat16, RandomMatrix(random(), 9, 33)));
  const DeviceMatrix x = Upload(Matrix(3, 33), act());
  DeviceMatrix out = Upload(Matrix(3, 9), DType::kFloat32);
  DeviceMatrix once = Upload(Matrix(3, 9), DType::kFloat32);
  for (int i = 0; i < 4; ++i) {
    const std::vector<std::byte> values = Encode(act(), RandomMatrix(random(), 3, 33).values);
    backend().CopyToDevice(values.data(), values.size(), x.buffer.data());
    backend().Run(op::MatMul{weight, x.view, once.view});
    ASSERT_THAT(backend().Repeat({1, 2},
                                 [&] {
                                   backend().Run(op::Clear{out.view});
                                   backend().Run(op::MatMul{weight, x.view, out.view});
                                   return absl::OkStatus();
                                 }),
                IsOk());
    EXPECT_EQ(Download(out).values, Download(once).values) << "call " << i;
  }
}

TEST_P(RepeatTest, KeysAreToldApart) {
  DeviceMatrix one = Upload(Matrix(1, 8), DType::kFloat32);
  DeviceMatrix two = Upload(Matrix(1, 8), DType::kFloat32);
  const std::vector<double> ones(8, 1.0);
  for (int i = 0; i < 4; ++i) {
    for (const DeviceMatrix* cleared : {&one, &two}) {
      for (const DeviceMatrix* each : {&one, &two}) {
        const std::vector<std::byte> bytes = Encode(DType::kFloat32, ones);
        backend().CopyToDevice(bytes.data(), bytes.size(), each->buffer.data());
      }
      ASSERT_THAT(backend().Repeat({cleared == &one ? 1 : 2},
                                   [&] {
                                     backend().Run(op::Clear{cleared->view});
                                     return absl::OkStatus();
                                   }),
                  IsOk());
      EXPECT_EQ(Download(one).values == ones, cleared != &one);
      EXPECT_EQ(Download(two).values == ones, cleared != &two);
    }
  }
}

TEST_P(RepeatTest, WhatIsCapturedOutlivesALargerCallBetween) {
  const ExpertsCall small = MakeExperts(3);
  ASSERT_THAT(Run(small), IsOk());
  const std::vector<double> want = Download(small.out).values;
  for (int i = 0; i < 2; ++i) ASSERT_THAT(Run(small), IsOk());
  const ExpertsCall large = MakeExperts(200);
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(Run(large), IsOk());
    backend().Run(op::Clear{small.out.view});
    ASSERT_THAT(Run(small), IsOk());
    EXPECT_EQ(Download(small.out).values, want);
  }
}

TEST_P(RepeatTest, AnErrorOfTheCallsIsReturnedAndForgotten) {
  const auto fail = [] { return absl::UnavailableError("a rank is gone"); };
  const auto pass = [] { return absl::OkStatus(); };
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(backend().Repeat({5}, fail),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("a rank is gone")));
  }
  EXPECT_THAT(backend().Repeat({5}, pass), IsOk());
  EXPECT_THAT(backend().Repeat({5}, fail),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("a rank is gone")));
  EXPECT_THAT(backend().Repeat({5}, pass), IsOk());
  EXPECT_THAT(backend().Synchronize(), IsOk());
}

}  // namespace
}  // namespace sdar
