// SPDX-License-Identifier: Apache-2.0
// Every backend this machine can run, and matrices that travel to a backend and back.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "kernels/backend.h"
#include "kernels/cpu/cpu_backend.h"
#ifdef SDAR_TEST_CUDA
#include "kernels/cuda/cuda_backend.h"
#endif
#include "tests/kernels/reference_ops.h"

namespace sdar {

// One way to run the conformance suite.
struct Target {
  std::string name;
  DType act_dtype;
  std::function<absl::StatusOr<std::unique_ptr<Backend>>()> create;
};
inline void PrintTo(const Target& target, std::ostream* out) { *out << target.name; }

#ifdef SDAR_TEST_CUDA
inline std::vector<Target> AllTargets() {
  std::vector<Target> targets;
  for (DType dtype : {DType::kBFloat16, DType::kFloat32}) {
    targets.push_back({absl::StrCat("cuda_", Name(dtype)), dtype, [dtype] {
                         return CudaBackend::Create({dtype, 0});
                       }});
  }
  return targets;
}
#else
inline std::vector<Target> AllTargets() {
  std::vector<Target> targets;
  for (const InstructionSet set : InstructionSetsHere()) {
    for (DType dtype : {DType::kBFloat16, DType::kFloat32}) {
      for (int threads : {1, 2}) {
        CpuBackendOptions options;
        options.act_dtype = dtype;
        options.instruction_set = set;
        options.cores.num_threads = threads;
        targets.push_back({absl::StrCat("cpu_", Name(options.instruction_set), "_", Name(dtype),
                                        "_", threads, threads == 1 ? "thread" : "threads"),
                           dtype, [options] { return CpuBackend::Create(options); }});
      }
    }
  }
  return targets;
}
#endif

inline std::string NameOfTarget(const ::testing::TestParamInfo<Target>& info) {
  return info.param.name;
}

// Rounds to the nearest value of `dtype`: bfloat16 or float32.
inline float RoundTo(DType dtype, double value) {
  const auto narrow = static_cast<float>(value);
  return dtype == DType::kBFloat16 ? ToFloat(ToBFloat16(narrow)) : narrow;
}

inline Matrix Rounded(DType dtype, Matrix m) {
  for (double& v : m.values) v = double{RoundTo(dtype, v)};
  return m;
}

// Normal variates as float32 holds them, scaled.
inline Matrix RandomMatrix(std::mt19937& random, int64_t rows, int64_t cols, double scale = 1) {
  std::normal_distribution<double> normal(0, scale);
  Matrix m(rows, cols);
  for (double& v : m.values) v = double{static_cast<float>(normal(random))};
  return m;
}

// `values` as the elements of `dtype`, rounded.
inline std::vector<std::byte> Encode(DType dtype, const std::vector<double>& values) {
  std::vector<std::byte> bytes(values.size() * SizeOf(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    const auto narrow = static_cast<float>(values[i]);
    const BFloat16 half = ToBFloat16(narrow);
    const void* from = dtype == DType::kFloat32 ? static_cast<const void*>(&narrow)
                                                : static_cast<const void*>(&half);
    std::memcpy(bytes.data() + i * SizeOf(dtype), from, SizeOf(dtype));
  }
  return bytes;
}

// A matrix in device memory. Its rows lie apart and what lies between them is guarded.
struct DeviceMatrix {
  DeviceBuffer buffer;
  TensorView view;
};

// The fixture of the suite: a backend and ways to reach its memory.
class BackendTest : public ::testing::TestWithParam<Target> {
 protected:
  void SetUp() override {
#ifdef SDAR_TEST_CUDA
    if (CountCudaDevices() == 0) GTEST_SKIP() << "this machine has no CUDA device";
#endif
    auto backend = GetParam().create();
    ASSERT_TRUE(backend.ok()) << backend.status();
    backend_ = *std::move(backend);
  }

  Backend& backend() { return *backend_; }
  DType act() const { return GetParam().act_dtype; }
  std::mt19937& random() { return random_; }
  // Half a unit in the last place of a stored activation, relative.
  double ActRounding() const { return act() == DType::kBFloat16 ? 0x1p-8 : 0x1p-23; }

  // Copies `m` to the device, its rows `padding` elements apart from each other.
  DeviceMatrix Upload(const Matrix& m, DType dtype, int64_t padding = 0) {
    const int64_t stride = m.cols + padding;
    std::vector<double> padded(static_cast<size_t>(m.rows * stride), kGuard);
    for (int64_t r = 0; r < m.rows; ++r) {
      for (int64_t c = 0; c < m.cols; ++c) padded[static_cast<size_t>(r * stride + c)] = m(r, c);
    }
    DeviceMatrix out{UploadBytes(Encode(dtype, padded)), {}};
    out.view = {out.buffer.data(), dtype, m.rows, m.cols, stride};
    return out;
  }

  // Copies a matrix back; fails the test where what lies between rows was touched.
  Matrix Download(const DeviceMatrix& d) {
    std::vector<std::byte> bytes(d.buffer.size_bytes());
    EXPECT_TRUE(backend_->Synchronize().ok());
    backend_->CopyToHost(d.buffer.data(), bytes.size(), bytes.data());
    std::vector<float> floats(bytes.size() / SizeOf(d.view.dtype));
    ConvertToFloat(d.view.dtype, bytes.data(), floats.size(), floats.data());
    Matrix m(d.view.rows, d.view.cols);
    for (int64_t r = 0; r < m.rows; ++r) {
      for (int64_t c = 0; c < d.view.row_stride; ++c) {
        const float value = floats[static_cast<size_t>(r * d.view.row_stride + c)];
        if (c < m.cols) {
          m(r, c) = double{value};
        } else {
          EXPECT_EQ(value, kGuard) << "wrote beyond row " << r;
        }
      }
    }
    return m;
  }

  template <typename T>
  DeviceBuffer UploadAll(const std::vector<T>& values) {
    std::vector<std::byte> bytes(values.size() * sizeof(T));
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    return UploadBytes(bytes);
  }
  template <typename T>
  std::vector<T> DownloadAll(const DeviceBuffer& buffer, size_t count) {
    std::vector<T> values(count);
    EXPECT_TRUE(backend_->Synchronize().ok());
    backend_->CopyToHost(buffer.data(), count * sizeof(T), values.data());
    return values;
  }

  // Packs `m`, rounded to bfloat16 so that every device multiplies with the same numbers.
  PackedWeight PackMatrix(const Matrix& m) {
    const std::vector<std::byte> bytes = Encode(DType::kBFloat16, m.values);
    auto packed = backend_->Pack({{bytes.data(), DType::kBFloat16, m.rows, m.cols}}, m.cols,
                                 WeightFormat::kAct);
    EXPECT_TRUE(packed.ok()) << packed.status();
    return *std::move(packed);
  }

  static constexpr double kGuard = 12288;

 private:
  DeviceBuffer UploadBytes(const std::vector<std::byte>& bytes) {
    auto buffer = backend_->Allocate(bytes.size());
    EXPECT_TRUE(buffer.ok()) << buffer.status();
    backend_->CopyToDevice(bytes.data(), bytes.size(), buffer->data());
    return *std::move(buffer);
  }

  std::unique_ptr<Backend> backend_;
  std::mt19937 random_{20240611};
};

// Expects |got - want| <= tolerance(row, col) everywhere.
inline void ExpectNear(const Matrix& got, const Matrix& want,
                       const std::function<double(int64_t, int64_t)>& tolerance) {
  ASSERT_EQ(got.rows, want.rows);
  ASSERT_EQ(got.cols, want.cols);
  for (int64_t r = 0; r < want.rows; ++r) {
    for (int64_t c = 0; c < want.cols; ++c) {
      ASSERT_NEAR(got(r, c), want(r, c), tolerance(r, c)) << "at row " << r << ", column " << c;
    }
  }
}

// Expects a relative error of at most `relative` everywhere.
inline void ExpectRelative(const Matrix& got, const Matrix& want, double relative) {
  ExpectNear(got, want,
             [&](int64_t r, int64_t c) { return relative * std::abs(want(r, c)) + 1e-30; });
}

}  // namespace sdar
