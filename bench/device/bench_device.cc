// SPDX-License-Identifier: Apache-2.0
#include "bench/device/bench_device.h"

#include <utility>

#include "common/status_macros.h"
#include "kernels/cpu/instruction_set_choice.h"

namespace sdar {
namespace {

absl::StatusOr<BenchDevice> OpenCuda(const CudaDeviceOptions& options, Communicator& group) {
  SDAR_ASSIGN_OR_RETURN(const CudaModule* cuda, LoadCudaModule());
  if (cuda->count_devices() == 0) {
    return absl::NotFoundError("--device=cuda: this machine has no GPU that CUDA can use");
  }
  BenchDevice opened;
  SDAR_RETURN_IF_ERROR(cuda->open(options, group, opened.device));
  return opened;
}

}  // namespace

InstructionSet FastestInstructionSet(DType act_dtype, const CoreShare& cores) {
  constexpr int64_t kWeightRows = 12288, kCols = 2048;
  const ProductShape shape = {act_dtype, WeightFormat::kAct, kWeightRows, kCols};
  return ChooseInstructionSet(MeasureInstructionSets(shape, cores));
}

absl::StatusOr<BenchDevice> OpenBenchDevice(const DeviceChoice& choice, Communicator& group) {
  SDAR_ASSIGN_OR_RETURN(const DType act_dtype, ParseDType(choice.dtype));
  if (choice.device == "cuda") {
    CudaDeviceOptions options;
    options.act_dtype = act_dtype;
    options.graphs = choice.graphs;
    return OpenCuda(options, group);
  }
  CpuBackendOptions cpu;
  cpu.act_dtype = act_dtype;
  cpu.cores = ShareCores(FindAllowedCores(), 1, 0, choice.threads);
  if (choice.instruction_set == "auto") {
    cpu.instruction_set = FastestInstructionSet(act_dtype, cpu.cores);
  } else {
    SDAR_ASSIGN_OR_RETURN(cpu.instruction_set, ParseInstructionSet(choice.instruction_set));
  }
  BenchDevice opened;
  SDAR_ASSIGN_OR_RETURN(opened.device.backend, CpuBackend::Create(cpu));
  opened.cpu = cpu;
  return opened;
}

}  // namespace sdar
