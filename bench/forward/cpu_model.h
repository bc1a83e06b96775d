// SPDX-License-Identifier: Apache-2.0
// A model on the CPU of one process, from a checkpoint or made up.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "kernels/cpu/cpu_backend.h"
#include "parallel/communicator.h"
#include "runtime/checkpoint/progress.h"
#include "runtime/model/sdar_model.h"

namespace sdar {

struct CpuModelSource {
  std::string folder;  // the checkpoint, unless there is a shape
  std::string shape;   // as SyntheticConfig has it: weights are made up
  int layers = 0;      // of the shape; 0: all
  std::string dtype = "bfloat16";
  int threads = 0;  // 0: all cores
};

// The model and what it needs, which lives as long. One thread.
struct CpuModel {
  std::unique_ptr<CpuBackend> backend;
  std::unique_ptr<Communicator> communicator;
  std::unique_ptr<SdarModel> model;
};

// Makes or loads the model and pins the calling thread, which must make all further calls.
// InvalidArgument names what in `source` is wrong; the checkpoint's errors.
absl::StatusOr<CpuModel> MakeCpuModel(const CpuModelSource& source, const ModelOptions& options,
                                      const Progress& progress);

}  // namespace sdar
