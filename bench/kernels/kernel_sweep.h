// SPDX-License-Identifier: Apache-2.0
// All kernels of a model's pass, one at a time, compared with what the device allows.
#pragma once

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

#include "bench/kernels/kernel_device.h"
#include "bench/kernels/kernel_options.h"
#include "bench/kernels/kernel_timing.h"
#include "bench/kernels/kernel_work.h"
#include "common/json.h"

namespace sdar {

struct KernelTime {
  std::string kernel;
  std::string variant;
  int64_t rows = 0;
  KernelWork work;
  CallTimes times;
  double floor_s = 0;

  double bytes_per_s() const { return work.bytes / times.median_s; }
  double flops_per_s() const { return work.flops / times.median_s; }
  // Above 1 where rows come from a cache.
  double part_of_floor() const { return floor_s / times.median_s; }
};

struct KernelResults {
  std::string backend;
  DeviceLimits limits;
  std::vector<KernelTime> times;
  std::vector<std::string> left_out;
};

// `progress` is told what comes next. After an error `results` holds what came before it.
absl::Status SweepKernels(const KernelOptions& options,
                          absl::FunctionRef<void(const std::string&)> progress,
                          KernelResults& results);

std::string KernelMarkdown(const KernelOptions& options, const KernelResults& results);
Json KernelJson(const KernelOptions& options, const KernelResults& results);

}  // namespace sdar
