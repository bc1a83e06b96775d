// SPDX-License-Identifier: Apache-2.0
#include "bench/load/load_report.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace sdar {
namespace {

struct NamedLatency {
  const char* name;
  const char* key;
  Percentiles LoadSummary::*values;
};

constexpr NamedLatency kLatencies[] = {
    {"first token", "first_token_ms", &LoadSummary::first_token_ms},
    {"per token", "per_token_ms", &LoadSummary::per_token_ms},
    {"between pieces", "between_ms", &LoadSummary::between_ms},
    {"end to end", "end_to_end_ms", &LoadSummary::end_to_end_ms},
    {"started late by", "late_ms", &LoadSummary::late_ms},
};

std::string DescribeLoad(const LoadOptions& o) {
  std::string out = o.is_open_loop() ? absl::StrCat("open loop, ", o.rate, " requests/s")
                                     : absl::StrCat("closed loop, ", o.clients, " clients");
  absl::StrAppend(&out, ", prompts ", o.prompt_tokens, ", outputs ", o.output_tokens);
  if (o.shared_prefix > 0) {
    absl::StrAppend(&out, ", ", o.prefix_groups, " shared prefix(es) of ", o.shared_prefix);
  }
  if (o.cancel_fraction > 0) absl::StrAppend(&out, ", ", o.cancel_fraction, " cancelled");
  if (o.timeout_seconds > 0) absl::StrAppend(&out, ", deadline ", o.timeout_seconds, " s");
  if (o.provisional) out += ", provisional";
  return absl::StrCat(out, ", seed ", o.seed);
}

Json ToJson(const Percentiles& p) {
  return {{"count", p.count}, {"p50", p.p50}, {"p90", p.p90}, {"p99", p.p99}, {"max", p.max}};
}

// The latencies of one completed call.
struct Latencies {
  std::vector<double> first_token, per_token, between, end_to_end;

  void Add(const CallRecord& call) {
    end_to_end.push_back(absl::ToDoubleMilliseconds(call.ended - call.arrival));
    if (!call.first_token) return;
    first_token.push_back(absl::ToDoubleMilliseconds(*call.first_token - call.arrival));
    for (absl::Duration gap : call.gaps) between.push_back(absl::ToDoubleMilliseconds(gap));
    const int64_t later = call.output_tokens - call.first_tokens;
    if (later == 0) return;
    per_token.push_back(absl::ToDoubleMilliseconds(call.last_token - *call.first_token) /
                        static_cast<double>(later));
  }
};

void AddUsage(const CallRecord& call, LoadSummary& out) {
  if (!call.usage) return;
  out.prompt_tokens += call.usage->prompt_tokens();
  out.cached_tokens += call.usage->cached_tokens();
  out.output_tokens += call.usage->completion_tokens();
  out.forward_passes += call.usage->forward_passes();
  out.preemptions += call.usage->preemptions();
}

double Ratio(double a, double b) { return b > 0 ? a / b : 0; }

}  // namespace

Percentiles PercentilesOf(std::vector<double> values) {
  Percentiles out;
  if (values.empty()) return out;
  std::sort(values.begin(), values.end());
  const auto at = [&](int64_t percent) {
    const int64_t rank = (static_cast<int64_t>(values.size()) * percent + 99) / 100;
    return values[static_cast<size_t>(std::max<int64_t>(rank, 1) - 1)];
  };
  out.count = static_cast<int64_t>(values.size());
  out.p50 = at(50);
  out.p90 = at(90);
  out.p99 = at(99);
  out.max = values.back();
  return out;
}

double LoadSummary::passes_per_token() const {
  return Ratio(static_cast<double>(forward_passes), static_cast<double>(output_tokens));
}

LoadSummary Summarize(const LoadResult& result) {
  LoadSummary out;
  Latencies latencies;
  std::vector<double> late;
  int64_t tokens = 0;
  for (const CallRecord& call : result.calls) {
    late.push_back(absl::ToDoubleMilliseconds(call.started - call.arrival));
    tokens += call.output_tokens;
    if (call.code == absl::StatusCode::kOk) {
      ++out.completed;
      latencies.Add(call);
      AddUsage(call, out);
    } else if (call.cancelled && call.code == absl::StatusCode::kCancelled) {
      ++out.cancelled;
    } else {
      ++out.errors[absl::StatusCodeToString(call.code)];
    }
  }
  out.elapsed_seconds = absl::ToDoubleSeconds(result.elapsed);
  out.unfinished = result.unfinished;
  out.sent = static_cast<int64_t>(result.calls.size()) + result.unfinished;
  out.requests_per_s = Ratio(static_cast<double>(out.completed), out.elapsed_seconds);
  out.tokens_per_s = Ratio(static_cast<double>(tokens), out.elapsed_seconds);
  out.first_token_ms = PercentilesOf(std::move(latencies.first_token));
  out.per_token_ms = PercentilesOf(std::move(latencies.per_token));
  out.between_ms = PercentilesOf(std::move(latencies.between));
  out.end_to_end_ms = PercentilesOf(std::move(latencies.end_to_end));
  out.late_ms = PercentilesOf(std::move(late));
  return out;
}

std::string ToMarkdown(const LoadOptions& options, const LoadResult& result, const LoadSummary& s) {
  std::string out = absl::StrFormat(
      "%s on %d rank(s), %s, %s\n%s\n\n"
      "| seconds | sent | completed | cancelled | failed | unfinished | requests/s | tokens/s | "
      "passes per token | cached prompt tokens | preemptions |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|\n",
      result.model.model(), result.model.ranks(), result.model.dtype(), result.model.backend(),
      DescribeLoad(options));
  absl::StrAppendFormat(
      &out, "| %.1f | %d | %d | %d | %d | %d | %.2f | %.1f | %.3f | %.0f%% | %d |\n",
      s.elapsed_seconds, s.sent, s.completed, s.cancelled,
      s.sent - s.completed - s.cancelled - s.unfinished, s.unfinished, s.requests_per_s,
      s.tokens_per_s, s.passes_per_token(),
      100 * Ratio(static_cast<double>(s.cached_tokens), static_cast<double>(s.prompt_tokens)),
      s.preemptions);
  absl::StrAppend(&out, "\n| ms | p50 | p90 | p99 | max | values |\n|---|---|---|---|---|---|\n");
  for (const NamedLatency& latency : kLatencies) {
    const Percentiles& p = s.*latency.values;
    absl::StrAppendFormat(&out, "| %s | %.1f | %.1f | %.1f | %.1f | %d |\n", latency.name, p.p50,
                          p.p90, p.p99, p.max, p.count);
  }
  if (!s.errors.empty()) absl::StrAppend(&out, "\n| error | calls |\n|---|---|\n");
  for (const auto& [code, count] : s.errors) {
    absl::StrAppendFormat(&out, "| %s | %d |\n", code, count);
  }
  return out;
}

Json ToJson(const LoadOptions& o, const LoadResult& result, const LoadSummary& s) {
  Json out = {{"server", o.server},
              {"model", result.model.model()},
              {"ranks", result.model.ranks()},
              {"replicas", result.model.replicas()},
              {"dtype", result.model.dtype()},
              {"backend", result.model.backend()},
              {"rate", o.rate},
              {"clients", o.clients},
              {"requests", o.requests},
              {"duration_seconds", o.duration_seconds},
              {"prompt_tokens_asked", o.prompt_tokens},
              {"output_tokens_asked", o.output_tokens},
              {"shared_prefix", o.shared_prefix},
              {"prefix_groups", o.prefix_groups},
              {"cancel_fraction", o.cancel_fraction},
              {"timeout_seconds", o.timeout_seconds},
              {"seed", o.seed},
              {"provisional", o.provisional},
              {"elapsed_seconds", s.elapsed_seconds},
              {"sent", s.sent},
              {"completed", s.completed},
              {"cancelled", s.cancelled},
              {"unfinished", s.unfinished},
              {"errors", s.errors},
              {"requests_per_s", s.requests_per_s},
              {"tokens_per_s", s.tokens_per_s},
              {"prompt_tokens", s.prompt_tokens},
              {"cached_tokens", s.cached_tokens},
              {"output_tokens", s.output_tokens},
              {"forward_passes", s.forward_passes},
              {"passes_per_token", s.passes_per_token()},
              {"preemptions", s.preemptions}};
  for (const NamedLatency& latency : kLatencies) out[latency.key] = ToJson(s.*latency.values);
  return out;
}

}  // namespace sdar
