// SPDX-License-Identifier: Apache-2.0
// The CPU backend: a product of its own, and what the CUDA backend is checked against.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/core_assignment.h"
#include "kernels/cpu/host_memory.h"
#include "kernels/cpu/instruction_set.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/thread_pool.h"

namespace sdar {

struct CpuBackendOptions {
  DType act_dtype = DType::kBFloat16;  // bfloat16 or float32
  InstructionSet instruction_set = InstructionSet::kPortable;
  CoreShare cores;
};

// Runs every call at once on the calling thread and the pool. Outputs of a row do not depend on the
// other rows.
class CpuBackend : public Backend {
 public:
  // InvalidArgument for another act dtype.
  static absl::StatusOr<std::unique_ptr<CpuBackend>> Create(const CpuBackendOptions& options);

  std::string Description() const override;
  DType act_dtype() const override { return options_.act_dtype; }
  void BindThread() override { pool_.PinCaller(); }

  absl::StatusOr<DeviceBuffer> Allocate(size_t size_bytes) override {
    return AllocateHostMemory(size_bytes);
  }
  void CopyToDevice(const void* host, size_t size_bytes, void* device) override;
  void CopyToHost(const void* device, size_t size_bytes, void* host) override;
  absl::Status Synchronize() override { return absl::OkStatus(); }

  absl::StatusOr<PackedWeight> Pack(absl::Span<const WeightPiece> pieces, int64_t cols,
                                    WeightFormat format) override;
  absl::StatusOr<DeviceBuffer> MakeTable(const WeightPiece& piece, int64_t cols) override;

  void Embed(const TensorView& table, int64_t first_id, const int32_t* ids,
             const TensorView& out) override;
  void AddRmsNorm(const TensorView* delta, const TensorView& weight, float eps,
                  const TensorView& residual, const TensorView& out) override;
  void MatMul(const PackedWeight& weight, const TensorView& x, const TensorView& out) override;
  void QkNormRopeWrite(const AttentionShape& shape, const StepLayout& layout,
                       const TensorView& q_norm, const TensorView& k_norm, const KvPages& pages,
                       const TensorView& qkv) override;
  void BlockAttention(const AttentionShape& shape, const StepLayout& layout, const KvPages& pages,
                      const TensorView& qkv, const TensorView& out) override;
  void SwiGlu(const TensorView& gate_up, const TensorView& out) override;
  void Route(const TensorView& logits, int64_t k, bool renormalize, int32_t* ids,
             float* weights) override;
  void Experts(const ExpertWeights& experts, const TensorView& x, int64_t k, const int32_t* ids,
               const float* weights, const TensorView& out) override;
  void GatherRows(const TensorView& x, const int32_t* rows, const TensorView& out) override;
  void Clear(const TensorView& out) override;
  void ScatterAddRows(const TensorView& x, const int32_t* rows, const TensorView& out) override;
  void SummarizeLogits(const LogitSpecs& specs, const TensorView& logits,
                       absl::Span<LogitSummary> out) override;

 private:
  explicit CpuBackend(const CpuBackendOptions& options);

  bool IsBFloat16() const { return options_.act_dtype == DType::kBFloat16; }
  void ExtendRotations(const AttentionShape& shape, const StepLayout& layout);

  CpuBackendOptions options_;
  const SimdKernels& kernels_;
  ThreadPool pool_;
  MatMulRunner matmuls_{kernels_, pool_};

  std::vector<std::vector<float>> attention_scratch_;  // one a thread

  // What Experts works in; grows to the largest call.
  struct ExpertScratch {
    std::vector<float> gathered;  // rows of the experts, then SwiGLU's output: act
    std::vector<float> gate_up;
    std::vector<float> results;
  };
  ExpertScratch expert_scratch_;

  // cos and sin of every position met so far: [positions][2][head_dim / 2].
  std::vector<float> rotations_;
  float rotations_theta_ = 0;
  int64_t rotations_head_dim_ = 0;
};

}  // namespace sdar
