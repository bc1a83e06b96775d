// SPDX-License-Identifier: Apache-2.0
// The loop over the tiles of packed weights.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

#include "kernels/backend.h"
#include "kernels/cpu/host_memory.h"
#include "kernels/cpu/simd/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace sdar {

// out = x * weight^T, as op::MatMul.
struct MatMulJob {
  const PackedWeight* weight = nullptr;
  TensorView x;
  TensorView out;
};

// Multiplies on the threads of a pool; keeps the memory that the rows are packed into. One calling
// thread.
class MatMulRunner {
 public:
  MatMulRunner(const SimdKernels& kernels, ThreadPool& pool) : kernels_(kernels), pool_(pool) {}

  // Runs all jobs' tiles as one loop over the threads.
  void Run(absl::Span<const MatMulJob> jobs);

 private:
  // Where a job's rows lie once they are packed.
  struct Placed {
    int64_t first_part = 0;   // in the common loop
    int64_t part_tiles = 1;   // of each but the last
    int64_t first_row = 0;    // of all jobs' rows
    int64_t first_word = 0;   // in packed_
    int64_t first_byte = -1;  // in bytes_; -1: not an int8 weight
  };

  int64_t TilesOfPart(const MatMulJob& job) const;
  void Place(absl::Span<const MatMulJob> jobs);
  void QuantizeRows(absl::Span<const MatMulJob> jobs);
  void PackAllRows(absl::Span<const MatMulJob> jobs);
  const SimdProduct& ProductOf(const PackedWeight& weight) const;
  void MultiplyPart(const MatMulJob& job, const Placed& placed, int64_t part, int thread);

  const SimdKernels& kernels_;
  ThreadPool& pool_;
  std::vector<Placed> placed_;  // one a job, and the ends
  ScratchMemory packed_memory_;
  uint32_t* packed_ = nullptr;  // every job's rows, as its product packs them
  std::vector<uint8_t> bytes_;  // rows of int8 jobs, quantised: [rows][words * 4]
  std::vector<float> row_scales_;
  std::vector<ScratchMemory> sums_;  // one a thread
};

}  // namespace sdar
