// SPDX-License-Identifier: Apache-2.0
#include "bench/kernels/kernel_sweep.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "bench/kernels/kernel_cases.h"
#include "common/status_macros.h"
#include "runtime/checkpoint/synthetic.h"

namespace sdar {

absl::Status SweepKernels(const KernelOptions& options,
                          absl::FunctionRef<void(const std::string&)> progress,
                          KernelResults& results) {
  SDAR_ASSIGN_OR_RETURN(const KernelSweep sweep, MakeKernelSweep(options));
  SDAR_ASSIGN_OR_RETURN(const ModelConfig config, SyntheticConfig(options.shape));
  SDAR_ASSIGN_OR_RETURN(const std::unique_ptr<KernelDevice> device, KernelDevice::Create(options));
  results = KernelResults();
  results.backend = device->backend().Description();
  progress("what the device can do");
  SDAR_ASSIGN_OR_RETURN(results.limits, device->FindLimits(options, sweep.repeats));
  const auto time = [&](const KernelCase& which) -> absl::Status {
    progress(absl::StrCat(which.kernel, " ", which.variant, " ", which.rows));
    const int64_t key = which.waits ? -1 : static_cast<int64_t>(results.times.size());
    SDAR_ASSIGN_OR_RETURN(
        const CallTimes times,
        TimeCalls(device->backend(), {sweep.repeats, sweep.batch_seconds, key}, which.run));
    const double floor =
        which.work.FloorSeconds(results.limits.bytes_per_s, results.limits.flops_per_s);
    results.times.push_back({which.kernel, which.variant, which.rows, which.work, times, floor});
    return absl::OkStatus();
  };
  KernelCases cases(config, sweep, device->backend());
  const absl::Status status = cases.ForEach(time);
  results.left_out = cases.left_out();
  return status;
}

std::string KernelMarkdown(const KernelOptions& options, const KernelResults& results) {
  const DeviceLimits& limits = results.limits;
  std::string out = absl::StrFormat(
      "%s, %s, %s\n\nFloors: %.0f GB/s (%s), %.2f TFLOP/s (%s)\n\n"
      "| kernel | of | rows | us, median | us, min | MB | GFLOP | GB/s | TFLOP/s | floor, us | "
      "of floor |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
      options.shape, options.dtype, results.backend, limits.bytes_per_s / 1e9, limits.bytes_source,
      limits.flops_per_s / 1e12, limits.flops_source);
  for (const KernelTime& t : results.times) {
    absl::StrAppendFormat(
        &out, "| %s | %s | %d | %.2f | %.2f | %.3f | %.3f | %.1f | %.2f | %.2f | %.0f%% |\n",
        t.kernel, t.variant, t.rows, t.times.median_s * 1e6, t.times.min_s * 1e6,
        t.work.bytes / 1e6, t.work.flops / 1e9, t.bytes_per_s() / 1e9, t.flops_per_s() / 1e12,
        t.floor_s * 1e6, 100 * t.part_of_floor());
  }
  if (!results.left_out.empty()) absl::StrAppend(&out, "\nLeft out for their memory:\n\n");
  for (const std::string& words : results.left_out) absl::StrAppend(&out, "- ", words, "\n");
  return out;
}

Json KernelJson(const KernelOptions& options, const KernelResults& results) {
  Json out = {{"shape", options.shape},
              {"dtype", options.dtype},
              {"backend", results.backend},
              {"bytes_per_s", results.limits.bytes_per_s},
              {"bytes_source", results.limits.bytes_source},
              {"flops_per_s", results.limits.flops_per_s},
              {"flops_source", results.limits.flops_source},
              {"kernels", Json::array()},
              {"left_out", results.left_out}};
  for (const KernelTime& t : results.times) {
    out["kernels"].push_back({{"kernel", t.kernel},
                              {"variant", t.variant},
                              {"rows", t.rows},
                              {"median_s", t.times.median_s},
                              {"min_s", t.times.min_s},
                              {"calls_at_once", t.times.calls_at_once},
                              {"bytes", t.work.bytes},
                              {"flops", t.work.flops},
                              {"bytes_per_s", t.bytes_per_s()},
                              {"flops_per_s", t.flops_per_s()},
                              {"floor_s", t.floor_s},
                              {"part_of_floor", t.part_of_floor()}});
  }
  return out;
}

}  // namespace sdar
