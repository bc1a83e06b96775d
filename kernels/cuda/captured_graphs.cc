// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/captured_graphs.h"

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar::cuda {
namespace {

// A bound on the memory that graphs take: more keys than this come only where sizes change all the
// time.
constexpr size_t kMostGraphs = 256;

absl::Status Named(cudaError_t error, absl::string_view call) {
  if (error == cudaSuccess) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(call, ": ", cudaGetErrorString(error)));
}

}  // namespace

absl::Status CapturedGraphs::Run(const std::vector<int64_t>& key,
                                 absl::FunctionRef<absl::Status()> enqueue) {
  const auto known = graphs_.find(key);
  if (known == graphs_.end()) {
    if (graphs_.size() >= kMostGraphs) Forget();
    SDAR_RETURN_IF_ERROR(enqueue());
    graphs_[key] = nullptr;
    return absl::OkStatus();
  }
  if (known->second == nullptr) {
    SDAR_ASSIGN_OR_RETURN(known->second, Capture(enqueue));
  }
  ++num_launches_;
  return Named(cudaGraphLaunch(known->second, stream_), "cudaGraphLaunch");
}

// Other threads may call what they like meanwhile: only this thread's calls are held to the rules.
absl::StatusOr<cudaGraphExec_t> CapturedGraphs::Capture(absl::FunctionRef<absl::Status()> enqueue) {
  SDAR_RETURN_IF_ERROR(Named(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal),
                             "cudaStreamBeginCapture"));
  const absl::Status enqueued = enqueue();
  cudaGraph_t graph = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(stream_, &graph);
  cudaGraphExec_t exec = nullptr;
  absl::Status status = enqueued.ok() ? Named(ended, "cudaStreamEndCapture") : enqueued;
  if (status.ok()) status = Named(cudaGraphInstantiate(&exec, graph, 0), "cudaGraphInstantiate");
  if (graph != nullptr) cudaGraphDestroy(graph);
  if (!status.ok()) return status;
  return exec;
}

void CapturedGraphs::Forget() {
  if (graphs_.empty()) return;
  cudaStreamSynchronize(stream_);  // a graph may still be running
  for (const auto& [key, graph] : graphs_) {
    if (graph != nullptr) cudaGraphExecDestroy(graph);
  }
  graphs_.clear();
}

}  // namespace sdar::cuda
