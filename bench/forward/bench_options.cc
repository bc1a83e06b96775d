// SPDX-License-Identifier: Apache-2.0
#include "bench/forward/bench_options.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "bench/forward/routing.h"
#include "common/status_macros.h"
#include "kernels/weight_format.h"

namespace sdar {
namespace {

absl::Status InRange(absl::string_view flag, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": expected ", low, " .. ", high, ", got ", value));
}

}  // namespace

absl::Status BenchOptions::Validate() const {
  if (dtype != "bfloat16" && dtype != "float32") {
    return absl::InvalidArgumentError(
        absl::StrCat("--dtype: expected bfloat16 or float32, got '", dtype, "'"));
  }
  if (device != "cpu" && device != "cuda") {
    return absl::InvalidArgumentError(
        absl::StrCat("--device: expected cpu or cuda, got '", device, "'"));
  }
  SDAR_ASSIGN_OR_RETURN(const WeightFormat format, ParseWeightFormat(weights));
  if (device == "cuda" && format == WeightFormat::kInt8) {
    return absl::InvalidArgumentError("--weights=int8: only --device=cpu has it");
  }
  if (const absl::Status status = ParseRouting(routing).status(); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--routing: ", status.message()));
  }
  if (graphs != "on" && graphs != "off") {
    return absl::InvalidArgumentError(
        absl::StrCat("--cuda-graphs: expected on or off, got '", graphs, "'"));
  }
  SDAR_RETURN_IF_ERROR(InRange("layers", layers, 0, 1024));
  SDAR_RETURN_IF_ERROR(InRange("threads", threads, 0, 1024));
  SDAR_RETURN_IF_ERROR(InRange("context", context, 0, 1 << 20));
  SDAR_RETURN_IF_ERROR(InRange("block-length", block_length, 1, 64));
  return InRange("repeats", repeats, 1, 1000);
}

void AddBenchFlags(BenchOptions& o, FlagSpec& spec) {
  spec.Group("Model shape")("shape", Flag(&o.shape, "1.7b|4b|8b|30b-a3b|FILE"),
                            "1.7b, 4b, 8b, 30b-a3b or the path of a config.json")(
      "layers", Flag(&o.layers), "layers to make and run; times are scaled to all; 0: all")(
      "synthetic", SwitchFlag(&o.synthetic), "made-up weights; there are no others")(
      "routing", Flag(&o.routing, "uniform|skewed|hot"),
      "experts of the rows: uniform; skewed: low ids more often; hot: all rows the same ones");
  spec.Group("Device and arithmetic")("device", Flag(&o.device, "cpu|cuda"),
                                      "cpu or cuda: the first GPU")(
      "cuda-graphs", Flag(&o.graphs, "on|off"),
      "on a GPU: on: passes are captured as CUDA graphs; off: kernels are launched one by one")(
      "dtype", Flag(&o.dtype, "bfloat16|float32"), "arithmetic and K/V: bfloat16 or float32")(
      "weights", Flag(&o.weights, "dtype|int8"),
      "dtype: as --dtype; int8: bytes, multiplied with bytes")(
      "instruction-set", Flag(&o.instruction_set, "auto|portable|avx2|avx512|avx512_bf16|amx"),
      "auto: the fastest here, as measured")("threads", Flag(&o.threads),
                                             "threads; 0: one per core");
  spec.Group("Passes")("rows", Flag(&o.rows), "rows of a forward pass of one sequence")(
      "batch", Flag(&o.batch), "sequences that decode together")(
      "context", Flag(&o.context), "committed positions of every sequence")(
      "block-length", Flag(&o.block_length), "positions of a block")(
      "steps", TextFlag(&o.steps),
      "denoising steps per block on average, such as 1,1.5,4; none: as many as positions")(
      "greedy", SwitchFlag(&o.greedy),
      "rows with logits take their likeliest id; otherwise all are drawn from, which costs more")(
      "repeats", Flag(&o.repeats), "timed runs of every pass");
  spec.Group("Results")("profile", SwitchFlag(&o.profile),
                        "print where the time of every pass goes")(
      "json", TextFlag(&o.json, "FILE"), "file to write the results to as JSON");
}

absl::StatusOr<std::vector<double>> ParseSteps(const std::string& list, int64_t block_length) {
  const auto most = static_cast<double>(block_length);
  if (list.empty()) return std::vector<double>{most};
  std::vector<double> steps;
  for (absl::string_view item : absl::StrSplit(list, ',')) {
    double count = 0;
    if (!absl::SimpleAtod(item, &count) || !(count >= 1 && count <= most)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--steps: expected numbers from 1 to the block length ", block_length,
                       " separated by commas, got '", list, "'"));
    }
    steps.push_back(count);
  }
  return steps;
}

}  // namespace sdar
