// SPDX-License-Identifier: Apache-2.0
#include "bench/bench_report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace sdar {

namespace {

void AppendPasses(const BenchResults& results, std::string& out) {
  absl::StrAppend(
      &out,
      "| sequences | rows of each | logit rows | ms, median | ms, min | GB read | GB/s | "
      "plain GB/s | of plain read |\n|---|---|---|---|---|---|---|---|---|\n");
  for (const PassTimes& pass : results.passes) {
    absl::StrAppendFormat(&out, "| %d | %d | %d | %.1f | %.1f | %.2f | %.1f | %.1f | %.0f%% |\n",
                          pass.shape.sequences, pass.shape.rows, pass.shape.logit_rows,
                          pass.median_ms, pass.min_ms, pass.read_bytes / 1e9,
                          pass.bytes_per_s() / 1e9, pass.plain_bytes_per_s / 1e9,
                          100 * pass.part_of_plain_read());
  }
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
                  "\nStatic decoding (predicted)\n\n"
                  "| sequences | commit | ms per block | tokens/s |\n|---|---|---|---|\n");
  for (const DecodeSpeed& speed : results.decoding) {
    absl::StrAppendFormat(&out, "| %d | %s | %.1f | %.2f |\n", speed.batch,
                          speed.fused ? "fused" : "plain", speed.ms_per_block, speed.tokens_per_s);
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
  absl::StrAppendFormat(&out,
                        "\nWeights are packed at %.1f GB/s of their source, memory is copied into "
                        "new memory at %.1f GB/s: %.0f%%\n",
                        results.packing.bytes_per_s / 1e9, results.packing.plain_bytes_per_s / 1e9,
                        100 * results.packing.bytes_per_s / results.packing.plain_bytes_per_s);
}

}  // namespace

std::string ToMarkdown(const BenchOptions& options, const BenchResults& results) {
  std::string out = absl::StrFormat(
      "%s, %s, %s, %d committed positions per sequence, blocks of %d\n\n", results.model,
      options.weights == "dtype" ? options.dtype : absl::StrCat(options.weights, " weights"),
      results.backend, options.context, options.block_length);
  AppendPasses(results, out);
  if (!results.decoding.empty()) AppendDecoding(results, out);
  AppendLimits(results, out);
  for (const PassTimes& pass : results.passes) {
    if (!pass.profile.empty()) AppendProfile(pass, out);
  }
  return out;
}

Json ToJson(const BenchOptions& options, const BenchResults& results) {
  Json out = {{"shape", options.shape},
              {"model", results.model},
              {"dtype", options.dtype},
              {"backend", results.backend},
              {"context", options.context},
              {"block_length", options.block_length},
              {"weights", options.weights},
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
                             {"plain_bytes_per_s", pass.plain_bytes_per_s}});
    for (const ProfileEntry& entry : pass.profile) {
      out["passes"].back()["profile"].push_back({{"operation", entry.operation},
                                                 {"calls", entry.calls},
                                                 {"ms", absl::ToDoubleMilliseconds(entry.time)},
                                                 {"weight_bytes", entry.weight_bytes}});
    }
  }
  for (const DecodeSpeed& speed : results.decoding) {
    out["decoding"].push_back({{"batch", speed.batch},
                               {"fused", speed.fused},
                               {"ms_per_block", speed.ms_per_block},
                               {"tokens_per_s", speed.tokens_per_s}});
  }
  for (const MatMulSpeed& speed : results.matmuls) {
    out["matmuls"].push_back(
        {{"rows", speed.rows}, {"gflops", speed.gflops}, {"peak_gflops", speed.peak_gflops}});
  }
  return out;
}

}  // namespace sdar
