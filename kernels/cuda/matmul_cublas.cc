// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include <cublasLt.h>

#include "common/status_macros.h"
#include "kernels/cuda/matmul.h"

namespace sdar::cuda {
namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20;  // what cuBLAS advises for Hopper
constexpr int kMostAlgorithms = 16;
constexpr int kTimedRuns = 4;

absl::Status ToStatus(cublasStatus_t status, absl::string_view call) {
  if (status == CUBLAS_STATUS_SUCCESS) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(call, ": ", cublasLtGetStatusString(status)));
}

absl::Status ToStatus(cudaError_t error, absl::string_view call) {
  if (error == cudaSuccess) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(call, ": ", cudaGetErrorString(error)));
}

// Frees a cuBLASLt descriptor.
struct Destroy {
  void operator()(cublasLtMatrixLayout_t layout) const { cublasLtMatrixLayoutDestroy(layout); }
  void operator()(cublasLtMatmulDesc_t desc) const { cublasLtMatmulDescDestroy(desc); }
  void operator()(cublasLtMatmulPreference_t p) const { cublasLtMatmulPreferenceDestroy(p); }
};
using Layout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Destroy>;
using Desc = std::unique_ptr<cublasLtMatmulDescOpaque_t, Destroy>;
using Preference = std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, Destroy>;

// A column-major matrix: a row-major one, transposed.
absl::StatusOr<Layout> MakeLayout(cudaDataType type, int64_t rows, int64_t cols, int64_t stride) {
  cublasLtMatrixLayout_t layout = nullptr;
  SDAR_RETURN_IF_ERROR(
      ToStatus(cublasLtMatrixLayoutCreate(&layout, type, static_cast<uint64_t>(rows),
                                          static_cast<uint64_t>(cols), stride),
               "cublasLtMatrixLayoutCreate"));
  return Layout(layout);
}

// The largest power of two, up to 256, that divides an address and a stride in bytes.
uint32_t AlignmentOf(const void* data, int64_t stride_bytes) {
  const auto bits = reinterpret_cast<uintptr_t>(data) | static_cast<uintptr_t>(stride_bytes) | 256;
  return 1u << std::countr_zero(bits);
}

// A product as cuBLASLt sees it, in column-major terms: d [outputs, tokens] = a^T b, with a [depth,
// outputs] the weight and b [depth, tokens] the activations.
struct Product {
  Layout a, b, d;
  const void* a_data;
  const void* b_data;
  void* d_data;
  std::array<uint32_t, 3> alignments;
};

absl::StatusOr<Product> Describe(const PackedWeight& weight, const TensorView& x,
                                 const TensorView& out) {
  const cudaDataType type = weight.dtype == DType::kBFloat16 ? CUDA_R_16BF : CUDA_R_32F;
  const auto element = static_cast<int64_t>(SizeOf(weight.dtype));
  Product p;
  SDAR_ASSIGN_OR_RETURN(p.a, MakeLayout(type, weight.cols, weight.rows, weight.cols));
  SDAR_ASSIGN_OR_RETURN(p.b, MakeLayout(type, x.cols, x.rows, x.row_stride));
  SDAR_ASSIGN_OR_RETURN(p.d, MakeLayout(CUDA_R_32F, out.cols, out.rows, out.row_stride));
  p.a_data = weight.storage.data();
  p.b_data = x.data;
  p.d_data = out.data;
  p.alignments = {AlignmentOf(p.a_data, weight.cols * element),
                  AlignmentOf(p.b_data, x.row_stride * element),
                  AlignmentOf(p.d_data, out.row_stride * int64_t{sizeof(float)})};
  return p;
}

// Rows that share an algorithm: up to 16 each their own, then quarter octaves.
int64_t BucketOf(int64_t rows) {
  if (rows <= 16) return rows;
  const int64_t step = int64_t{1} << (std::bit_width(static_cast<uint64_t>(rows - 1)) - 3);
  return (rows + step - 1) / step * step;
}

class CublasMatMul : public DeviceMatMul {
 public:
  static absl::StatusOr<std::unique_ptr<CublasMatMul>> Create(cudaStream_t stream) {
    auto matmul = std::unique_ptr<CublasMatMul>(new CublasMatMul(stream));
    SDAR_RETURN_IF_ERROR(ToStatus(cublasLtCreate(&matmul->handle_), "cublasLtCreate"));
    SDAR_RETURN_IF_ERROR(ToStatus(cudaMalloc(&matmul->workspace_, kWorkspaceBytes), "cudaMalloc"));
    cublasLtMatmulDesc_t desc = nullptr;
    SDAR_RETURN_IF_ERROR(ToStatus(cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                                  "cublasLtMatmulDescCreate"));
    matmul->desc_.reset(desc);
    const cublasOperation_t transposed = CUBLAS_OP_T;
    SDAR_RETURN_IF_ERROR(ToStatus(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA,
                                                                 &transposed, sizeof transposed),
                                  "cublasLtMatmulDescSetAttribute"));
    for (cudaEvent_t& event : matmul->events_) {
      SDAR_RETURN_IF_ERROR(ToStatus(cudaEventCreate(&event), "cudaEventCreate"));
    }
    return matmul;
  }

  ~CublasMatMul() override {
    for (cudaEvent_t event : events_) {
      if (event != nullptr) cudaEventDestroy(event);
    }
    if (workspace_ != nullptr) cudaFree(workspace_);
    if (handle_ != nullptr) cublasLtDestroy(handle_);
  }

  absl::Status Run(const PackedWeight& weight, const TensorView& x,
                   const TensorView& out) override {
    SDAR_ASSIGN_OR_RETURN(const Product p, Describe(weight, x, out));
    const Key key(weight.rows, weight.cols, BucketOf(x.rows), weight.dtype, p.alignments);
    const auto known = algorithms_.find(key);
    if (known != algorithms_.end()) {
      const cublasStatus_t status = Multiply(p, known->second);
      if (status == CUBLAS_STATUS_SUCCESS) return absl::OkStatus();
    }
    SDAR_ASSIGN_OR_RETURN(const cublasLtMatmulAlgo_t fastest, FindFastest(p));
    algorithms_[key] = fastest;
    return ToStatus(Multiply(p, fastest), "cublasLtMatmul");
  }

 private:
  using Key = std::tuple<int64_t, int64_t, int64_t, DType, std::array<uint32_t, 3>>;

  explicit CublasMatMul(cudaStream_t stream) : stream_(stream) {}

  cublasStatus_t Multiply(const Product& p, const cublasLtMatmulAlgo_t& algorithm) {
    const float one = 1, zero = 0;
    return cublasLtMatmul(handle_, desc_.get(), &one, p.a_data, p.a.get(), p.b_data, p.b.get(),
                          &zero, p.d_data, p.d.get(), p.d_data, p.d.get(), &algorithm, workspace_,
                          kWorkspaceBytes, stream_);
  }

  absl::StatusOr<Preference> MakePreference(const Product& p) {
    cublasLtMatmulPreference_t raw = nullptr;
    SDAR_RETURN_IF_ERROR(
        ToStatus(cublasLtMatmulPreferenceCreate(&raw), "cublasLtMatmulPreferenceCreate"));
    Preference preference(raw);
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      return ToStatus(cublasLtMatmulPreferenceSetAttribute(raw, attribute, &value, sizeof value),
                      "cublasLtMatmulPreferenceSetAttribute");
    };
    SDAR_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceBytes));
    SDAR_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, p.alignments[0]));
    SDAR_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, p.alignments[1]));
    SDAR_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, p.alignments[2]));
    SDAR_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, p.alignments[2]));
    return preference;
  }

  // Milliseconds of some runs after one that is not counted; infinite where it cannot run.
  absl::StatusOr<float> Time(const Product& p, const cublasLtMatmulAlgo_t& algorithm) {
    if (Multiply(p, algorithm) != CUBLAS_STATUS_SUCCESS) {
      return std::numeric_limits<float>::infinity();
    }
    SDAR_RETURN_IF_ERROR(ToStatus(cudaEventRecord(events_[0], stream_), "cudaEventRecord"));
    for (int i = 0; i < kTimedRuns; ++i) {
      SDAR_RETURN_IF_ERROR(ToStatus(Multiply(p, algorithm), "cublasLtMatmul"));
    }
    SDAR_RETURN_IF_ERROR(ToStatus(cudaEventRecord(events_[1], stream_), "cudaEventRecord"));
    SDAR_RETURN_IF_ERROR(ToStatus(cudaEventSynchronize(events_[1]), "cudaEventSynchronize"));
    float milliseconds = 0;
    SDAR_RETURN_IF_ERROR(ToStatus(cudaEventElapsedTime(&milliseconds, events_[0], events_[1]),
                                  "cudaEventElapsedTime"));
    return milliseconds;
  }

  absl::StatusOr<cublasLtMatmulAlgo_t> FindFastest(const Product& p) {
    SDAR_ASSIGN_OR_RETURN(const Preference preference, MakePreference(p));
    std::array<cublasLtMatmulHeuristicResult_t, kMostAlgorithms> found;
    int count = 0;
    SDAR_RETURN_IF_ERROR(
        ToStatus(cublasLtMatmulAlgoGetHeuristic(handle_, desc_.get(), p.a.get(), p.b.get(),
                                                p.d.get(), p.d.get(), preference.get(),
                                                kMostAlgorithms, found.data(), &count),
                 "cublasLtMatmulAlgoGetHeuristic"));
    float best_time = std::numeric_limits<float>::infinity();
    const cublasLtMatmulAlgo_t* best = nullptr;
    for (int i = 0; i < count; ++i) {
      const cublasLtMatmulHeuristicResult_t& result = found[static_cast<size_t>(i)];
      if (result.state != CUBLAS_STATUS_SUCCESS) continue;
      SDAR_ASSIGN_OR_RETURN(const float time, Time(p, result.algo));
      if (time >= best_time) continue;
      best_time = time;
      best = &result.algo;
    }
    if (best == nullptr) return absl::InternalError("cuBLASLt: no algorithm for a matrix product");
    return *best;
  }

  cudaStream_t stream_;
  cublasLtHandle_t handle_ = nullptr;
  void* workspace_ = nullptr;
  Desc desc_;
  std::array<cudaEvent_t, 2> events_ = {};
  absl::flat_hash_map<Key, cublasLtMatmulAlgo_t> algorithms_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceMatMul>> DeviceMatMul::Create(cudaStream_t stream) {
  return CublasMatMul::Create(stream);
}

}  // namespace sdar::cuda
