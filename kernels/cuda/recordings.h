// SPDX-License-Identifier: Apache-2.0
// Sequences of launches, captured as CUDA graphs and replayed.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

#include "kernels/cuda/runtime.h"

namespace sdar::cuda {

// One graph per key. The first time a key comes its launches are made as they are, so that whatever
// they need for the first time (memory, the choice of an algorithm) is there; the second time they
// are captured; from then on the graph is launched. One thread.
class Recordings {
 public:
  // Requires: the stream outlives this.
  explicit Recordings(cudaStream_t stream) : stream_(stream) {}
  ~Recordings() { Forget(); }
  Recordings(const Recordings&) = delete;
  Recordings& operator=(const Recordings&) = delete;

  // Enqueues what `enqueue` enqueues on the stream, which may not wait or allocate the second time.
  // Errors: enqueue's, and Internal for a call that cannot be captured.
  absl::Status Run(const std::vector<int64_t>& key, absl::FunctionRef<absl::Status()> enqueue);

  // To be called before memory that launches may use is freed: drops all graphs.
  void Forget();

  int64_t num_replays() const { return num_replays_; }

 private:
  absl::Status Capture(absl::FunctionRef<absl::Status()> enqueue, cudaGraphExec_t& out);

  cudaStream_t stream_;
  absl::flat_hash_map<std::vector<int64_t>, cudaGraphExec_t> graphs_;  // null: came once
  int64_t num_replays_ = 0;
};

}  // namespace sdar::cuda
