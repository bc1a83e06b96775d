// SPDX-License-Identifier: Apache-2.0
// What the benchmarks compute on.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"

#include "kernels/cpu/cpu_backend.h"
#include "launcher/cuda/cuda_module.h"
#include "parallel/communicator.h"

namespace sdar {

struct DeviceChoice {
  std::string device = "cpu";  // or "cuda": the first GPU
  std::string dtype = "bfloat16";
  bool graphs = true;                    // of a GPU: CudaDeviceOptions::graphs
  std::string instruction_set = "auto";  // of the CPU
  int threads = 0;                       // of the CPU; 0: all cores
};

struct BenchDevice {
  Device device;
  std::optional<CpuBackendOptions> cpu;  // where it is the CPU
};

// The fastest of this machine for products as those of a model of 1.7 B parameters.
InstructionSet FastestInstructionSet(DType act_dtype, const CoreShare& cores);

// Requires: a group of one rank. Errors: as the backends'; NotFound says what is missing for CUDA.
absl::StatusOr<BenchDevice> OpenBenchDevice(const DeviceChoice& choice, Communicator& group);

}  // namespace sdar
