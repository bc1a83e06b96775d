// SPDX-License-Identifier: Apache-2.0
#include "bench/kernels/kernel_device.h"

#include <numeric>
#include <utility>

#include "bench/device/arithmetic_peak.h"
#include "bench/device/memory_speed.h"
#include "bench/kernels/kernel_memory.h"
#include "bench/kernels/kernel_timing.h"
#include "common/status_macros.h"
#include "parallel/local_communicator.h"

namespace sdar {
namespace {

constexpr int64_t kSide = 8192;  // of the product and the copy that a GPU's limits come from
constexpr int64_t kCopyRows = 1 << 15;
constexpr size_t kReadBytes = size_t{1} << 30;
constexpr double kBatchSeconds = 0.02;

}  // namespace

absl::StatusOr<std::unique_ptr<KernelDevice>> KernelDevice::Create(const KernelOptions& options) {
  auto made = std::unique_ptr<KernelDevice>(new KernelDevice());
  made->alone_ = MakeSingleCommunicator();
  DeviceChoice choice;
  choice.device = options.device;
  choice.dtype = options.dtype;
  choice.threads = options.threads;
  SDAR_ASSIGN_OR_RETURN(made->device_, OpenBenchDevice(choice, *made->alone_));
  made->backend().BindThread();
  return made;
}

absl::StatusOr<DeviceLimits> KernelDevice::FindLimits(const KernelOptions& options, int repeats) {
  DeviceLimits limits = {options.bandwidth * 1e9, options.peak * 1e12, "given", "given"};
  if (limits.bytes_per_s == 0 && options.on_cuda()) {
    SDAR_ASSIGN_OR_RETURN(limits.bytes_per_s, MeasureCopy(repeats));
    limits.bytes_source = "copy of 1 GiB by GatherRows, read and written";
  } else if (limits.bytes_per_s == 0) {
    SDAR_ASSIGN_OR_RETURN(limits.bytes_per_s, MeasureReads(repeats));
    limits.bytes_source = "plain read of 1 GiB";
  }
  if (limits.flops_per_s == 0 && options.on_cuda()) {
    SDAR_ASSIGN_OR_RETURN(limits.flops_per_s, MeasureProduct(repeats));
    limits.flops_source = "MatMul of 8192 x 8192 x 8192";
  } else if (limits.flops_per_s == 0) {
    const bool narrow = backend().act_dtype() == DType::kBFloat16;
    limits.flops_per_s =
        MeasurePeak(device_.cpu->instruction_set, narrow ? PeakOf::kBFloat16 : PeakOf::kFloat32,
                    device_.cpu->cores);
    limits.flops_source = limits.flops_per_s > 0 ? "multiplying registers" : "not known";
  }
  return limits;
}

absl::StatusOr<double> KernelDevice::MeasureCopy(int repeats) {
  KernelMemory memory(backend());
  const DType wide = DType::kFloat32;
  SDAR_ASSIGN_OR_RETURN(const OwnedMatrix from, memory.RandomMatrix(kCopyRows, kSide, wide));
  SDAR_ASSIGN_OR_RETURN(const OwnedMatrix to, memory.Matrix(kCopyRows, kSide, wide));
  std::vector<int32_t> in_order(static_cast<size_t>(kCopyRows));
  std::iota(in_order.begin(), in_order.end(), 0);
  SDAR_ASSIGN_OR_RETURN(const DeviceBuffer rows, memory.Upload(in_order));
  const auto run = [&](int64_t /*call*/) {
    backend().Run(op::GatherRows{from.view, static_cast<const int32_t*>(rows.data()), to.view});
  };
  SDAR_ASSIGN_OR_RETURN(const CallTimes times, TimeCalls(backend(), {repeats, kBatchSeconds}, run));
  return 2 * static_cast<double>(from.buffer.size_bytes()) / times.median_s;
}

absl::StatusOr<double> KernelDevice::MeasureProduct(int repeats) {
  KernelMemory memory(backend());
  SDAR_ASSIGN_OR_RETURN(const PackedWeight weight, memory.RandomWeight(kSide, kSide));
  SDAR_ASSIGN_OR_RETURN(const OwnedMatrix x,
                        memory.RandomMatrix(kSide, kSide, backend().act_dtype()));
  SDAR_ASSIGN_OR_RETURN(const OwnedMatrix out, memory.Matrix(kSide, kSide, DType::kFloat32));
  const auto run = [&](int64_t /*call*/) { backend().Run(op::MatMul{weight, x.view, out.view}); };
  SDAR_ASSIGN_OR_RETURN(const CallTimes times, TimeCalls(backend(), {repeats, kBatchSeconds}, run));
  return 2.0 * kSide * kSide * kSide / times.median_s;
}

absl::StatusOr<double> KernelDevice::MeasureReads(int repeats) {
  SDAR_ASSIGN_OR_RETURN(const std::unique_ptr<MemorySpeed> memory,
                        MemorySpeed::Create(device_.cpu->cores, kReadBytes));
  memory->Read();
  std::vector<double> speeds;
  for (int i = 0; i < repeats; ++i) speeds.push_back(memory->Read());
  return MedianOf(std::move(speeds));
}

}  // namespace sdar
