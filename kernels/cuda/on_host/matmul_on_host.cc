// SPDX-License-Identifier: Apache-2.0
// Dense products by loops, in cuBLASLt's stead.
#include "kernels/cuda/device.h"
#include "kernels/cuda/matmul.h"

namespace sdar::cuda {
namespace {

class MatMulOnHost : public DeviceMatMul {
 public:
  absl::Status Run(const PackedWeight& weight, const TensorView& x,
                   const TensorView& out) override {
    void (*const multiply)(const void*, const TensorView&, const TensorView&) =
        weight.dtype == DType::kBFloat16 ? &Multiply<Bf16> : &Multiply<float>;
    cuda_on_host::Enqueue([multiply, w = weight.storage.data(), x, out] { multiply(w, x, out); });
    return absl::OkStatus();
  }

 private:
  template <typename T>
  static void Multiply(const void* weight, const TensorView& x, const TensorView& out) {
    const T* w = static_cast<const T*>(weight);
    for (int64_t r = 0; r < x.rows; ++r) {
      for (int64_t o = 0; o < out.cols; ++o) {
        double sum = 0;
        for (int64_t i = 0; i < x.cols; ++i) {
          sum += double{ToFloat(w[o * x.cols + i])} * double{ToFloat(x.Row<T>(r)[i])};
        }
        out.Row<float>(r)[o] = static_cast<float>(sum);
      }
    }
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceMatMul>> DeviceMatMul::Create(cudaStream_t) {
  return std::make_unique<MatMulOnHost>();
}

}  // namespace sdar::cuda
