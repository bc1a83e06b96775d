// SPDX-License-Identifier: Apache-2.0
// Made-up weights: a block writes a row.
#include "common/synthetic_weight.h"

#include "kernels/cuda/device.h"
#include "kernels/cuda/kernels.h"

namespace sdar::cuda {
namespace {

constexpr unsigned kThreads = 256;

template <typename Act>
__global__ void FillSyntheticKernel(SyntheticElements elements, int64_t row_stride, Act* out,
                                    int64_t cols) {
  const int64_t row = blockIdx.x;
  const uint64_t first = elements.first + static_cast<uint64_t>(row * row_stride);
  for (int64_t c = threadIdx.x; c < cols; c += kThreads) {
    const Bf16 weight = ToBf16(SyntheticWeight(elements.key, first + static_cast<uint64_t>(c)));
    out[row * cols + c] = FromFloat<Act>(ToFloat(weight));
  }
}

}  // namespace

void FillSynthetic(const SyntheticElements& elements, int64_t row_stride, const TensorView& out,
                   cudaStream_t stream) {
  const auto fill = [&](auto* data, auto kernel) {
    Launch(kernel, dim3(static_cast<unsigned>(out.rows)), kThreads, 0, stream, elements, row_stride,
           data, out.cols);
  };
  if (out.dtype == DType::kBFloat16) {
    fill(static_cast<Bf16*>(out.data), FillSyntheticKernel<Bf16>);
  } else {
    fill(static_cast<float*>(out.data), FillSyntheticKernel<float>);
  }
}

}  // namespace sdar::cuda
