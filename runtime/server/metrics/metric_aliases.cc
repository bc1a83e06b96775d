// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/metrics/metric_aliases.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sdar {
namespace {

struct Alias {
  const char* alias;
  const char* name;
};

constexpr Alias kAliases[] = {
    {"vllm:num_requests_running", "sdar_requests_running"},
    {"vllm:num_requests_waiting", "sdar_requests_waiting"},
    {"vllm:kv_cache_usage_perc", "sdar_kv_usage_ratio"},
    {"vllm:gpu_cache_usage_perc", "sdar_kv_usage_ratio"},
    {"vllm:prompt_tokens_total", "sdar_prompt_tokens_total"},
    {"vllm:generation_tokens_total", "sdar_generation_tokens_total"},
    {"vllm:request_success_total", "sdar_requests_total"},
    {"vllm:num_preemptions_total", "sdar_preemptions_total"},
    {"vllm:prefix_cache_queries_total", "sdar_prefix_cache_queries_total"},
    {"vllm:prefix_cache_hits_total", "sdar_prefix_cache_hits_total"},
    {"vllm:time_to_first_token_seconds", "sdar_time_to_first_token_seconds"},
    {"vllm:inter_token_latency_seconds", "sdar_inter_token_latency_seconds"},
    {"vllm:time_per_output_token_seconds", "sdar_inter_token_latency_seconds"},
    {"vllm:request_time_per_output_token_seconds", "sdar_request_time_per_output_token_seconds"},
    {"vllm:e2e_request_latency_seconds", "sdar_e2e_request_latency_seconds"},
    {"vllm:request_queue_time_seconds", "sdar_request_queue_time_seconds"},
    {"vllm:request_prefill_time_seconds", "sdar_request_prefill_time_seconds"},
    {"vllm:request_decode_time_seconds", "sdar_request_decode_time_seconds"},
    {"vllm:request_inference_time_seconds", "sdar_request_inference_time_seconds"},
    {"vllm:request_max_num_generation_tokens", "sdar_request_max_num_generation_tokens"},
    {"vllm:request_params_max_tokens", "sdar_request_params_max_tokens"},
    {"vllm:request_params_n", "sdar_request_params_n"},
    {"vllm:request_prompt_tokens", "sdar_request_prompt_tokens"},
    {"vllm:request_generation_tokens", "sdar_request_generation_tokens"},
};

}  // namespace

void AddAliases(std::vector<prometheus::MetricFamily>& families) {
  std::vector<prometheus::MetricFamily> aliases;
  for (const Alias& alias : kAliases) {
    const auto family =
        std::find_if(families.begin(), families.end(),
                     [&](const prometheus::MetricFamily& f) { return f.name == alias.name; });
    if (family == families.end()) continue;
    aliases.push_back(*family);
    aliases.back().name = alias.alias;
    aliases.back().help = absl::StrCat("As ", alias.name, ".");
  }
  families.insert(families.end(), std::make_move_iterator(aliases.begin()),
                  std::make_move_iterator(aliases.end()));
}

}  // namespace sdar
