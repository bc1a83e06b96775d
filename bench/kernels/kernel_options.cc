// SPDX-License-Identifier: Apache-2.0
#include "bench/kernels/kernel_options.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "bench/device/count_list.h"
#include "bench/kernels/kernel_cases.h"
#include "common/status_macros.h"

namespace sdar {
namespace {

// What a device gets where no flag says otherwise. A CPU's are few, as each takes a while.
struct DeviceDefaults {
  const char* rows;
  const char* batch;
  const char* context;
  const char* block_length;
  int repeats;
  double batch_ms;
  int64_t cold_megabytes;  // several times an H200's 50 MB of L2
  int64_t max_megabytes;
};
constexpr DeviceDefaults kCpuDefaults = {"4,32", "1,8", "256,1024", "4", 5, 2, 64, 1024};
constexpr DeviceDefaults kCudaDefaults = {"4,8,16,32,64,128,256,512,1024,2048",
                                          "1,8,32,128",
                                          "256,1024,4096,16384",
                                          "4,16,64",
                                          20,
                                          5,
                                          512,
                                          24 * 1024};

absl::Status Within(absl::string_view flag, double value, double high) {
  if (value >= 0 && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": expected 0 .. ", high, ", got ", value));
}

}  // namespace

absl::Status KernelOptions::Validate() const {
  if (device != "cpu" && device != "cuda") {
    return absl::InvalidArgumentError(
        absl::StrCat("--device: expected cpu or cuda, got '", device, "'"));
  }
  if (dtype != "bfloat16" && dtype != "float32") {
    return absl::InvalidArgumentError(
        absl::StrCat("--dtype: expected bfloat16 or float32, got '", dtype, "'"));
  }
  SDAR_RETURN_IF_ERROR(Within("threads", threads, 1024));
  SDAR_RETURN_IF_ERROR(Within("repeats", repeats, 1000));
  SDAR_RETURN_IF_ERROR(Within("batch-ms", batch_ms, 1e4));
  SDAR_RETURN_IF_ERROR(Within("cold-megabytes", static_cast<double>(cold_megabytes), 1 << 16));
  SDAR_RETURN_IF_ERROR(Within("max-megabytes", static_cast<double>(max_megabytes), 1 << 20));
  SDAR_RETURN_IF_ERROR(Within("bandwidth", bandwidth, 1e6));
  return Within("peak", peak, 1e6);
}

void AddKernelFlags(KernelOptions& o, FlagSpec& spec) {
  spec.Group("Flags")("device", Flag(&o.device), "cpu or cuda")(
      "shape", Flag(&o.shape), "1.7b, 4b, 8b, 30b-a3b or the path of a config.json")(
      "dtype", Flag(&o.dtype), "arithmetic and K/V: bfloat16 or float32")(
      "threads", Flag(&o.threads), "threads of the CPU; 0: one per core")(
      "rows", TextFlag(&o.rows), "rows of a call; not given: a list that suits the device")(
      "batch", TextFlag(&o.batch), "sequences of an attention call; as --rows")(
      "context", TextFlag(&o.context), "committed positions of each; as --rows")(
      "block-length", TextFlag(&o.block_length), "rows of each; as --rows")(
      "only", TextFlag(&o.only),
      absl::StrCat("of ", absl::StrJoin(KernelNames(), ","), "; not given: all").c_str())(
      "repeats", Flag(&o.repeats), "timed batches of calls; 0 here and below: suits the device")(
      "batch-ms", Flag(&o.batch_ms), "milliseconds of calls between two waits for the device")(
      "cold-megabytes", Flag(&o.cold_megabytes),
      "weights, K/V or embeddings that calls take turns over")(
      "max-megabytes", Flag(&o.max_megabytes), "K/V beyond which attention is left out")(
      "bandwidth", Flag(&o.bandwidth), "GB/s that floors are made of; 0: measured first")(
      "peak", Flag(&o.peak), "TFLOP/s that floors are made of; 0: measured first")(
      "json", TextFlag(&o.json, "FILE"), "file to write the results to as JSON");
}

bool KernelSweep::Wants(const std::string& kernel) const {
  return only.empty() || std::find(only.begin(), only.end(), kernel) != only.end();
}

absl::StatusOr<KernelSweep> MakeKernelSweep(const KernelOptions& options) {
  SDAR_RETURN_IF_ERROR(options.Validate());
  const DeviceDefaults& defaults = options.on_cuda() ? kCudaDefaults : kCpuDefaults;
  const auto list = [](const char* flag, const std::string& given, const char* otherwise,
                       int64_t high) {
    return ParseCounts(flag, given.empty() ? otherwise : given, high);
  };
  KernelSweep sweep;
  SDAR_ASSIGN_OR_RETURN(sweep.rows, list("rows", options.rows, defaults.rows, 1 << 16));
  SDAR_ASSIGN_OR_RETURN(sweep.batches, list("batch", options.batch, defaults.batch, 512));
  SDAR_ASSIGN_OR_RETURN(sweep.contexts,
                        list("context", options.context, defaults.context, 1 << 20));
  SDAR_ASSIGN_OR_RETURN(sweep.block_lengths,
                        list("block-length", options.block_length, defaults.block_length, 64));
  if (!options.only.empty()) sweep.only = absl::StrSplit(options.only, ',');
  const std::vector<std::string> known = KernelNames();
  for (const std::string& name : sweep.only) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--only: expected some of ", absl::StrJoin(known, ","), ", got '", name, "'"));
    }
  }
  const auto or_default = [](auto given, auto otherwise) { return given > 0 ? given : otherwise; };
  sweep.repeats = or_default(options.repeats, defaults.repeats);
  sweep.batch_seconds = or_default(options.batch_ms, defaults.batch_ms) / 1000;
  sweep.cold_bytes = or_default(options.cold_megabytes, defaults.cold_megabytes) << 20;
  sweep.max_bytes = or_default(options.max_megabytes, defaults.max_megabytes) << 20;
  return sweep;
}

}  // namespace sdar
