// SPDX-License-Identifier: Apache-2.0
// The device that a kernel sweep runs on, and what it can do at best.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "bench/device/bench_device.h"
#include "bench/kernels/kernel_options.h"
#include "parallel/communicator.h"

namespace sdar {

// What floors are made of, and where it comes from.
struct DeviceLimits {
  double bytes_per_s = 0;
  double flops_per_s = 0;  // 0: not known
  std::string bytes_source;
  std::string flops_source;
};

class KernelDevice {
 public:
  // Pins the calling thread, which must make all further calls. NotFound where there is no GPU.
  static absl::StatusOr<std::unique_ptr<KernelDevice>> Create(const KernelOptions& options);

  Backend& backend() { return *device_.device.backend; }
  // Given ones are taken. On a GPU the others are measured with a copy of GatherRows and a product
  // of MatMul, large ones; on a CPU with loops that do nothing else.
  absl::StatusOr<DeviceLimits> FindLimits(const KernelOptions& options, int repeats);

 private:
  KernelDevice() = default;
  absl::StatusOr<double> MeasureCopy(int repeats);
  absl::StatusOr<double> MeasureProduct(int repeats);
  absl::StatusOr<double> MeasureReads(int repeats);

  std::unique_ptr<Communicator> alone_;  // outlives the device
  BenchDevice device_;
};

}  // namespace sdar
