// SPDX-License-Identifier: Apache-2.0
#include "bench/forward/cpu_model.h"

#include <algorithm>
#include <utility>

#include "bench/device/bench_device.h"
#include "bench/forward/synthetic_source.h"
#include "common/status_macros.h"
#include "parallel/local_communicator.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/synthetic.h"

namespace sdar {
namespace {

absl::Status LoadModel(const CpuModelSource& source, const ModelOptions& options,
                       const Progress& progress, CpuModel& out) {
  SDAR_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(source.folder));
  const auto find = [&](absl::string_view name) { return checkpoint.Find(name); };
  SDAR_ASSIGN_OR_RETURN(ShardedWeights weights,
                        LoadShardedWeights(checkpoint.config(), find, {}, *out.backend, progress));
  SDAR_ASSIGN_OR_RETURN(out.model, SdarModel::Create(checkpoint.config(), std::move(weights),
                                                     options, *out.backend, *out.communicator));
  return absl::OkStatus();
}

absl::Status MakeUpModel(const CpuModelSource& source, const ModelOptions& options,
                         const Progress& progress, CpuModel& out) {
  SDAR_ASSIGN_OR_RETURN(ModelConfig config, SyntheticConfig(source.shape));
  if (source.layers > 0) config.num_layers = std::min(config.num_layers, source.layers);
  const SyntheticSource tensors(config);
  const auto find = [&](absl::string_view name) { return tensors.Find(name); };
  SDAR_ASSIGN_OR_RETURN(ShardedWeights weights,
                        LoadShardedWeights(config, find, {}, *out.backend, progress));
  SDAR_ASSIGN_OR_RETURN(out.model, SdarModel::Create(config, std::move(weights), options,
                                                     *out.backend, *out.communicator));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CpuModel> MakeCpuModel(const CpuModelSource& source, const ModelOptions& options,
                                      const Progress& progress) {
  CpuModel out;
  CpuBackendOptions cpu;
  SDAR_ASSIGN_OR_RETURN(cpu.act_dtype, ParseDType(source.dtype));
  cpu.cores = ShareCores(FindAllowedCores(), 1, 0, source.threads);
  cpu.instruction_set = FastestInstructionSet(cpu.act_dtype, cpu.cores);
  SDAR_ASSIGN_OR_RETURN(out.backend, CpuBackend::Create(cpu));
  out.backend->BindThread();
  out.communicator = MakeSingleCommunicator();
  SDAR_RETURN_IF_ERROR(source.shape.empty() ? LoadModel(source, options, progress, out)
                                            : MakeUpModel(source, options, progress, out));
  return out;
}

}  // namespace sdar
