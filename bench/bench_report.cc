// SPDX-License-Identifier: Apache-2.0
#include "bench/bench_report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace sdar {

std::string ToMarkdown(const BenchOptions& options, const BenchResults& results) {
  std::string out = absl::StrFormat(
      "%s, %s, %s, %d committed positions per sequence, blocks of %d\n\n"
      "| sequences | rows of each | logit rows | ms, median | ms, min | GB read | GB/s | plain "
      "GB/s | of plain read |\n"
      "|---|---|---|---|---|---|---|---|---|\n",
      results.model, options.dtype, results.backend, options.context, options.block_length);
  for (const PassTimes& pass : results.passes) {
    absl::StrAppendFormat(&out, "| %d | %d | %d | %.1f | %.1f | %.2f | %.1f | %.1f | %.0f%% |\n",
                          pass.shape.sequences, pass.shape.rows, pass.shape.logit_rows,
                          pass.median_ms, pass.min_ms, pass.read_bytes / 1e9,
                          pass.bytes_per_s() / 1e9, pass.plain_bytes_per_s / 1e9,
                          100 * pass.part_of_plain_read());
  }
  if (!results.decoding.empty()) {
    absl::StrAppendFormat(&out, "\n%s\n\n| sequences | ms per block | tokens/s |\n|---|---|---|\n",
                          options.fused ? "Static decoding, fused commit (predicted)"
                                        : "Static decoding, plain commit (predicted)");
  }
  for (const DecodeSpeed& speed : results.decoding) {
    absl::StrAppendFormat(&out, "| %d | %.1f | %.2f |\n", speed.batch, speed.ms_per_block,
                          speed.tokens_per_s);
  }
  absl::StrAppend(&out, "\n| rows of one matmul | GFLOP/s |\n|---|---|\n");
  for (const MatMulSpeed& speed : results.matmuls) {
    absl::StrAppendFormat(&out, "| %d | %.0f |\n", speed.rows, speed.gflops);
  }
  return out;
}

Json ToJson(const BenchOptions& options, const BenchResults& results) {
  Json out = {{"shape", options.shape},     {"model", results.model},
              {"dtype", options.dtype},     {"backend", results.backend},
              {"context", options.context}, {"block_length", options.block_length},
              {"fused", options.fused},     {"repeats", options.repeats},
              {"passes", Json::array()},    {"decoding", Json::array()},
              {"matmuls", Json::array()}};
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
  }
  for (const DecodeSpeed& speed : results.decoding) {
    out["decoding"].push_back({{"batch", speed.batch},
                               {"ms_per_block", speed.ms_per_block},
                               {"tokens_per_s", speed.tokens_per_s}});
  }
  for (const MatMulSpeed& speed : results.matmuls) {
    out["matmuls"].push_back({{"rows", speed.rows}, {"gflops", speed.gflops}});
  }
  return out;
}

}  // namespace sdar
