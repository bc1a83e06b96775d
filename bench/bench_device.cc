// SPDX-License-Identifier: Apache-2.0
#include "bench/bench_device.h"

#include <utility>

#include "common/status_macros.h"
#include "launcher/cuda_module.h"

namespace sdar {
namespace {

absl::StatusOr<BenchDevice> OpenCuda(DType act_dtype, bool graphs, Communicator& group) {
  SDAR_ASSIGN_OR_RETURN(const CudaModule* cuda, LoadCudaModule());
  if (cuda->count_devices() == 0) {
    return absl::NotFoundError("--device=cuda: this machine has no GPU that CUDA can use");
  }
  CudaDeviceOptions options;
  options.act_dtype = act_dtype;
  options.graphs = graphs;
  Device device;
  SDAR_RETURN_IF_ERROR(cuda->open(options, group, device));
  return BenchDevice{std::move(device.backend), std::nullopt};
}

}  // namespace

absl::StatusOr<BenchDevice> OpenBenchDevice(const BenchOptions& options, Communicator& group) {
  SDAR_ASSIGN_OR_RETURN(const DType act_dtype, ParseDType(options.dtype));
  if (options.device == "cuda") return OpenCuda(act_dtype, options.graphs == "on", group);
  CpuBackendOptions cpu;
  cpu.act_dtype = act_dtype;
  SDAR_ASSIGN_OR_RETURN(cpu.instruction_set, ParseInstructionSet(options.instruction_set));
  cpu.cores = ShareCores(FindAllowedCores().cpus, 1, 0, options.threads);
  SDAR_ASSIGN_OR_RETURN(std::unique_ptr<CpuBackend> backend, CpuBackend::Create(cpu));
  return BenchDevice{std::move(backend), cpu};
}

}  // namespace sdar
