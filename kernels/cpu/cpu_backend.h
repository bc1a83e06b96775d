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

  void Run(const Operation& operation) override;

 private:
  explicit CpuBackend(const CpuBackendOptions& options);

  void Execute(const op::Embed& call);
  void Execute(const op::AddRmsNorm& call);
  void Execute(const op::MatMul& call);
  void Execute(const op::QkNormRopeWrite& call);
  void Execute(const op::BlockAttention& call);
  void Execute(const op::SwiGlu& call);
  void Execute(const op::Route& call);
  void Execute(const op::Experts& call);
  void Execute(const op::Clear& call);
  void Execute(const op::GatherRows& call);
  void Execute(const op::ScatterAddRows& call);
  void Execute(const op::SummarizeLogits& call);

  bool IsBFloat16() const { return options_.act_dtype == DType::kBFloat16; }
  int32_t RowsAtOnce(const StepLayout& layout, const AttentionShape& shape) const;
  void ExtendRotations(const op::QkNormRopeWrite& call);

  CpuBackendOptions options_;
  const SimdKernels& kernels_;
  ThreadPool pool_;
  MatMulRunner matmuls_{kernels_, pool_};

  std::vector<ScratchMemory> attention_scratch_;  // one a thread

  // What op::Experts works in; grows to the largest call.
  struct ExpertScratch {
    std::vector<float> gathered;  // rows of the experts, then SwiGLU's output: act
    std::vector<float> gate_up;
    std::vector<float> results;
  };
  ExpertScratch expert_scratch_;

  // cos and sin of every position met so far: [positions][2][head_dim / 2], and the angles that
  // they are of.
  std::vector<float> rotations_;
  std::vector<float> rotations_of_;
  float rotations_scale_ = 0;
};

}  // namespace sdar
