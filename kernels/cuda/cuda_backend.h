// SPDX-License-Identifier: Apache-2.0
// The backend for NVIDIA GPUs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "kernels/backend.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cuda/captured_graphs.h"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/matmul.h"

namespace sdar {

struct CudaBackendOptions {
  DType act_dtype = DType::kBFloat16;  // arithmetic and K/V; or float32
  int device = 0;
  bool graphs = true;  // Repeat captures; off: it launches one by one
};

// Devices that this process can use; 0 without a driver.
int CountCudaDevices();

// Everything is enqueued on one stream; only Synchronize, copies to the host and
// op::SummarizeLogits wait. Memory is allocated while shapes are new and grows no more after the
// largest of each. Outputs of a row depend on the number of rows by rounding only (the dense
// products' algorithm).
class CudaBackend : public Backend {
 public:
  // InvalidArgument for another act dtype or device; Internal names the call that failed.
  static absl::StatusOr<std::unique_ptr<CudaBackend>> Create(const CudaBackendOptions& options);
  ~CudaBackend() override;

  std::string Description() const override;
  DType act_dtype() const override { return options_.act_dtype; }
  void BindThread() override;

  absl::StatusOr<DeviceBuffer> Allocate(size_t size_bytes) override;
  void CopyToDevice(const void* host, size_t size_bytes, void* device) override;
  void CopyToHost(const void* device, size_t size_bytes, void* host) override;
  absl::Status Synchronize() override;
  bool captures() const override { return options_.graphs; }
  absl::Status Repeat(const std::vector<int64_t>& key,
                      absl::FunctionRef<absl::Status()> enqueue) override;

  absl::StatusOr<PackedWeight> Pack(absl::Span<const WeightPiece> pieces, int64_t cols,
                                    WeightFormat format) override;
  absl::StatusOr<DeviceBuffer> MakeTable(const WeightPiece& piece, int64_t cols) override;

  void Run(const Operation& operation) override;

  // The stream that all calls enqueue on.
  cudaStream_t stream() const { return stream_; }
  // How many graphs Repeat has launched.
  int64_t num_graph_launches() const { return captured_graphs_->num_launches(); }

 private:
  // Page-locked host memory.
  class Pinned;
  // Device arrays of a layer's weights, and the weights they are of.
  struct ExpertPointers {
    std::vector<const void*> weights;  // gate_up, then down
    DeviceBuffer device;
  };

  explicit CudaBackend(const CudaBackendOptions& options);

  void Execute(const op::Embed& call) { cuda::Embed(call, stream_); }
  void Execute(const op::AddRmsNorm& call) { cuda::AddRmsNorm(call, stream_); }
  void Execute(const op::MatMul& call);
  void Execute(const op::QkNormRopeWrite& call) { cuda::QkNormRopeWrite(call, stream_); }
  void Execute(const op::BlockAttention& call);
  void Execute(const op::SwiGlu& call) { cuda::SwiGlu(call, stream_); }
  void Execute(const op::Route& call) { cuda::Route(call, stream_); }
  void Execute(const op::Experts& call);
  void Execute(const op::Clear& call);
  void Execute(const op::GatherRows& call) { cuda::GatherRows(call, stream_); }
  void Execute(const op::ScatterAddRows& call) { cuda::ScatterAddRows(call, stream_); }
  void Execute(const op::SummarizeLogits& call);

  absl::Status Start();
  // Remembers the first failure since the last Synchronize.
  void Check(cudaError_t error, const char* call);
  void Check(absl::Status status);
  // Device memory of at least this many bytes, whose content no call relies on; null on failure.
  void* Scratch(size_t size_bytes);
  cuda::ExpertTable TableOf(const ExpertWeights& experts);
  // Writes the rows of a piece, in the act dtype, to `device`.
  absl::Status PlacePiece(const WeightPiece& piece, int64_t cols, char* device);
  absl::Status UploadPiece(const WeightPiece& piece, int64_t cols, char* device);

  CudaBackendOptions options_;
  std::string name_;
  cuda::DeviceTraits traits_;
  cudaStream_t stream_ = nullptr;
  std::unique_ptr<cuda::DeviceMatMul> matmul_;
  std::unique_ptr<cuda::CapturedGraphs> captured_graphs_;
  std::unique_ptr<Pinned> staging_;    // what small copies to the device pass through
  size_t staged_bytes_ = 0;            // since the last wait
  std::unique_ptr<Pinned> halves_[2];  // what weights pass through in turn
  cudaEvent_t half_is_free_[2] = {};
  int next_half_ = 0;
  ThreadPool uploaders_;  // what fills the halves
  std::unique_ptr<Pinned> summaries_;
  std::vector<DeviceBuffer> scratch_;  // each larger than the one before
  DeviceBuffer spec_bytes_;
  DeviceBuffer device_summaries_;
  absl::flat_hash_map<const ExpertWeights*, ExpertPointers> expert_pointers_;
  absl::Status status_;
};

}  // namespace sdar
