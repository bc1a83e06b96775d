// SPDX-License-Identifier: Apache-2.0
// Sequences of launches that recur, captured as CUDA graphs.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "kernels/cuda/runtime.h"

namespace sdar::cuda {

// One graph per key. The first time a key comes its launches are made as they are, so that whatever
// they need for the first time (memory, the choice of an algorithm) is there; the second time they
// are captured; from then on the graph is launched. What happens to a key depends on the keys
// before it only, so that ranks that run the same steps capture and launch graphs together, as NCCL
// wants. One thread.
class CapturedGraphs {
 public:
  // Requires: the stream outlives this.
  explicit CapturedGraphs(cudaStream_t stream) : stream_(stream) {}
  ~CapturedGraphs() { Forget(); }
  CapturedGraphs(const CapturedGraphs&) = delete;
  CapturedGraphs& operator=(const CapturedGraphs&) = delete;

  // Enqueues what `enqueue` enqueues on the stream, which may not wait or allocate the second time.
  // Errors: enqueue's, and Internal for a call that cannot be captured. Requires: memory that the
  // launches use stays where it is for as long as this lives.
  absl::Status Run(const std::vector<int64_t>& key, absl::FunctionRef<absl::Status()> enqueue);

  int64_t num_launches() const { return num_launches_; }  // of graphs

 private:
  absl::StatusOr<cudaGraphExec_t> Capture(absl::FunctionRef<absl::Status()> enqueue);
  void Forget();

  cudaStream_t stream_;
  absl::flat_hash_map<std::vector<int64_t>, cudaGraphExec_t> graphs_;  // null: came once
  int64_t num_launches_ = 0;
};

}  // namespace sdar::cuda
