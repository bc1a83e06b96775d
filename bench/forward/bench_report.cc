// SPDX-License-Identifier: Apache-2.0
#include "bench/forward/bench_report.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace sdar {

namespace {

// A device's short passes need digits that the noise of longer ones would fill.
std::string Ms(double ms) {
  return ms < 10 ? absl::StrFormat("%.3f", ms) : absl::StrFormat("%.1f", ms);
}

void AppendPasses(const BenchResults& results, std::string& out) {
  absl::StrAppend(
      &out,
      "| sequences | rows of each | logit rows | ms, median | ms, min | GB read | GB/s | "
      "plain GB/s | of plain read |\n|---|---|---|---|---|---|---|---|---|\n");
  for (const PassTimes& pass : results.passes) {
    const std::string plain = pass.plain_bytes_per_s == 0
                                  ? " | "
                                  : absl::StrFormat("%.1f | %.0f%%", pass.plain_bytes_per_s / 1e9,
                                                    100 * pass.part_of_plain_read());
    absl::StrAppendFormat(&out, "| %d | %d | %d | %s | %s | %.2f | %.1f | %s |\n",
                          pass.shape.sequences, pass.shape.rows, pass.shape.logit_rows,
                          Ms(pass.median_ms), Ms(pass.min_ms), pass.read_bytes / 1e9,
                          pass.bytes_per_s() / 1e9, plain);
  }
}

void AppendExperts(const BenchOptions& options, const BenchResults& results, std::string& out) {
  absl::StrAppendFormat(&out,
                        "\nRouting %s\n\n| rows of a pass | of the %d experts, a layer's rows are "
                        "expected to choose |\n|---|---|\n",
                        options.routing, results.num_experts);
  std::map<int64_t, double> experts;
  for (const PassTimes& pass : results.passes) {
    experts[pass.shape.sequences * pass.shape.rows] = pass.expected_experts;
  }
  for (const auto& [rows, count] : experts)
    absl::StrAppendFormat(&out, "| %d | %.1f |\n", rows, count);
}

void AppendProfile(const PassTimes& pass, std::string& out) {
  absl::Duration total;
  for (const ProfileEntry& entry : pass.profile) total += entry.time;
  absl::StrAppendFormat(&out,
                        "\n%d x %d rows, %d of each with logits: %.2f ms in the layers that run\n\n"
                        "| operation | calls | ms | of the pass | GB/s |\n|---|---|---|---|---|\n",
                        pass.shape.sequences, pass.shape.rows, pass.shape.logit_rows,
                        absl::ToDoubleMilliseconds(total));
  for (const ProfileEntry& entry : pass.profile) {
    const std::string speed =
        entry.weight_bytes == 0
            ? ""
            : absl::StrFormat("%.1f", static_cast<double>(entry.weight_bytes) /
                                          absl::ToDoubleSeconds(entry.time) / 1e9);
    absl::StrAppendFormat(&out, "| %s | %d | %.3f | %.1f%% | %s |\n", entry.operation, entry.calls,
                          absl::ToDoubleMilliseconds(entry.time),
                          100 * absl::FDivDuration(entry.time, total), speed);
  }
}

void AppendDecoding(const BenchResults& results, std::string& out) {
  absl::StrAppend(&out,
                  "\nDecoding (predicted)\n\n"
                  "| sequences | steps per block | commit | ms per block | tokens/s "
                  "| masked only: ms | tokens/s |\n"
                  "|---|---|---|---|---|---|---|\n");
  for (const DecodeSpeed& speed : results.decoding) {
    absl::StrAppendFormat(&out, "| %d | %g | %s | %s | %.2f | %s | %.2f |\n", speed.batch,
                          speed.steps, speed.fused ? "fused" : "plain", Ms(speed.ms_per_block),
                          speed.tokens_per_s, Ms(speed.masked_ms_per_block),
                          speed.masked_tokens_per_s);
  }
}

void AppendLimits(const BenchResults& results, std::string& out) {
  absl::StrAppend(&out, "\n| rows of one matmul | GFLOP/s | peak | of peak |\n|---|---|---|---|\n");
  for (const MatMulSpeed& speed : results.matmuls) {
    absl::StrAppendFormat(
        &out, "| %d | %.0f | %.0f | %s |\n", speed.rows, speed.gflops, speed.peak_gflops,
        speed.peak_gflops == 0 ? "unknown"
                               : absl::StrFormat("%.0f%%", 100 * speed.gflops / speed.peak_gflops));
  }
}

void AppendPacking(const PackSpeed& packing, std::string& out) {
  absl::StrAppendFormat(&out, "\nWeights are packed at %.1f GB/s of their source",
                        packing.bytes_per_s / 1e9);
  if (packing.plain_bytes_per_s > 0) {
    absl::StrAppendFormat(&out, ", memory is copied into new memory at %.1f GB/s: %.0f%%",
                          packing.plain_bytes_per_s / 1e9,
                          100 * packing.bytes_per_s / packing.plain_bytes_per_s);
  }
  out += "\n";
}

}  // namespace

std::string ToMarkdown(const BenchOptions& options, const BenchResults& results) {
  std::string out = absl::StrFormat(
      "%s, %s, %s, %d committed positions per sequence, blocks of %d, %s\n\n", results.model,
      options.weights == "dtype" ? options.dtype : absl::StrCat(options.weights, " weights"),
      results.backend, options.context, options.block_length,
      options.greedy ? "greedy choice" : "rows drawn from");
  AppendPasses(results, out);
  if (!results.decoding.empty()) AppendDecoding(results, out);
  if (results.num_experts > 0) AppendExperts(options, results, out);
  if (!results.matmuls.empty()) AppendLimits(results, out);
  AppendPacking(results.packing, out);
  for (const PassTimes& pass : results.passes) {
    if (!pass.profile.empty()) AppendProfile(pass, out);
  }
  return out;
}

Json ToJson(const BenchOptions& options, const BenchResults& results) {
  Json out = {{"shape", options.shape},
              {"model", results.model},
              {"dtype", options.dtype},
              {"device", options.device},
              {"routing", options.routing},
              {"graphs", options.graphs},
              {"backend", results.backend},
              {"context", options.context},
              {"block_length", options.block_length},
              {"weights", options.weights},
              {"greedy", options.greedy},
              {"repeats", options.repeats},
              {"passes", Json::array()},
              {"decoding", Json::array()},
              {"matmuls", Json::array()},
              {"packing_bytes_per_s", results.packing.bytes_per_s},
              {"copy_bytes_per_s", results.packing.plain_bytes_per_s}};
  for (const PassTimes& pass : results.passes) {
    out["passes"].push_back({{"sequences", pass.shape.sequences},
                             {"rows", pass.shape.rows},
                             {"logit_rows", pass.shape.logit_rows},
                             {"rows_to_write", pass.shape.rows_to_write},
                             {"median_ms", pass.median_ms},
                             {"min_ms", pass.min_ms},
                             {"read_bytes", pass.read_bytes},
                             {"bytes_per_s", pass.bytes_per_s()},
                             {"plain_bytes_per_s", pass.plain_bytes_per_s},
                             {"expected_experts", pass.expected_experts}});
    for (const ProfileEntry& entry : pass.profile) {
      out["passes"].back()["profile"].push_back({{"operation", entry.operation},
                                                 {"calls", entry.calls},
                                                 {"ms", absl::ToDoubleMilliseconds(entry.time)},
                                                 {"weight_bytes", entry.weight_bytes}});
    }
  }
  for (const DecodeSpeed& speed : results.decoding) {
    out["decoding"].push_back({{"batch", speed.batch},
                               {"steps", speed.steps},
                               {"fused", speed.fused},
                               {"ms_per_block", speed.ms_per_block},
                               {"tokens_per_s", speed.tokens_per_s},
                               {"masked_ms_per_block", speed.masked_ms_per_block},
                               {"masked_tokens_per_s", speed.masked_tokens_per_s}});
  }
  for (const MatMulSpeed& speed : results.matmuls) {
    out["matmuls"].push_back(
        {{"rows", speed.rows}, {"gflops", speed.gflops}, {"peak_gflops", speed.peak_gflops}});
  }
  return out;
}

}  // namespace sdar
