// SPDX-License-Identifier: Apache-2.0
// What sdar-bench computes on.
#pragma once

#include <memory>
#include <optional>

#include "absl/status/statusor.h"

#include "bench/bench_options.h"
#include "kernels/backend.h"
#include "kernels/cpu/cpu_backend.h"
#include "parallel/communicator.h"

namespace sdar {

struct BenchDevice {
  std::unique_ptr<Backend> backend;
  std::optional<CpuBackendOptions> cpu;  // where it is the CPU
};

// Opens the device that the options name: the CPU, or the first GPU. Requires: a group of one rank.
// Errors: as the backends'; NotFound says what is missing for CUDA.
absl::StatusOr<BenchDevice> OpenBenchDevice(const BenchOptions& options, Communicator& group);

}  // namespace sdar
