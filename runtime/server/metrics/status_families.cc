// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/metrics/status_families.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sdar {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using SampleLabels = std::vector<ClientMetric::Label>;

prometheus::ClientMetric::Histogram HistogramOf(const CountHistogram& counts) {
  ClientMetric::Histogram out;
  for (size_t i = 0; i < counts.counts.size(); ++i) {
    out.sample_count += counts.counts[i];
    const double bound = i < CountHistogram::kBounds.size()
                             ? CountHistogram::kBounds[i]
                             : std::numeric_limits<double>::infinity();
    out.bucket.push_back({out.sample_count, bound});
  }
  out.sample_sum = static_cast<double>(counts.sum);
  return out;
}

// Families whose metrics all bear the model's name.
class FamilyList {
 public:
  explicit FamilyList(const std::string& model_name) : model_name_(model_name) {}

  // The metrics that follow belong to this family.
  void Begin(MetricType type, const char* name, const char* help) {
    families_.push_back({name, help, type, {}});
  }
  template <typename Number>
  void Add(SampleLabels labels, Number number) {
    const auto value = static_cast<double>(number);
    ClientMetric& metric = NewMetric(std::move(labels));
    if (families_.back().type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
  }
  void AddHistogram(SampleLabels labels, const CountHistogram& counts) {
    NewMetric(std::move(labels)).histogram = HistogramOf(counts);
  }
  std::vector<MetricFamily> Take() { return std::move(families_); }

 private:
  ClientMetric& NewMetric(SampleLabels labels) {
    ClientMetric& metric = families_.back().metric.emplace_back();
    metric.label = {{"model_name", model_name_}};
    metric.label.insert(metric.label.end(), labels.begin(), labels.end());
    return metric;
  }

  const std::string& model_name_;
  std::vector<MetricFamily> families_;
};

// One metric of the whole job.
template <typename Number>
void AddGauge(const char* name, const char* help, Number value, FamilyList& out) {
  out.Begin(MetricType::Gauge, name, help);
  out.Add({}, value);
}

void AddTotals(const JobView& view, FamilyList& out) {
  const EngineStatus& total = view.status.total;
  AddGauge("sdar_requests_running", "Sequences that have a slot.", total.running, out);
  AddGauge("sdar_requests_waiting", "Sequences in the queue.", total.waiting, out);
  const double pages = static_cast<double>(total.total_pages);
  const double used = static_cast<double>(total.total_pages - total.free_pages);
  AddGauge("sdar_kv_usage_ratio", "Part of the K/V pages that sequences hold, 0 to 1.",
           pages > 0 ? used / pages : 0.0, out);
  AddGauge("sdar_healthy", "1 while health says SERVING, else 0.", view.healthy ? 1 : 0, out);
}

using ReplicaValue = double (*)(const EngineStatus&);

struct ReplicaMetric {
  MetricType type;
  const char* name;
  const char* help;
  ReplicaValue value;
};

constexpr ReplicaMetric kReplicaMetrics[] = {
    {MetricType::Gauge, "sdar_step_age_seconds",
     "How long the replica's step in progress has been running; 0 between steps.",
     [](const EngineStatus& s) { return absl::ToDoubleSeconds(s.step_age); }},
    {MetricType::Counter, "sdar_steps_total", "Steps of whatever kind that the replica finished.",
     [](const EngineStatus& s) { return static_cast<double>(s.finished_steps); }},
    {MetricType::Counter, "sdar_forward_passes_total", "Steps that ran the model.",
     [](const EngineStatus& s) { return static_cast<double>(s.steps.forward_passes); }},
    {MetricType::Counter, "sdar_forward_pass_rows_total", "Rows (positions) of all forward passes.",
     [](const EngineStatus& s) { return static_cast<double>(s.steps.rows); }},
    {MetricType::Counter, "sdar_drafts_total", "Guessed later states that were evaluated.",
     [](const EngineStatus& s) { return static_cast<double>(s.steps.drafts); }},
    {MetricType::Counter, "sdar_draft_rows_total",
     "Rows of these; they are counted in sdar_forward_pass_rows_total too.",
     [](const EngineStatus& s) { return static_cast<double>(s.steps.draft_rows); }},
    {MetricType::Counter, "sdar_drafts_accepted_total",
     "Drafts that came true. Each saved its sequence a forward pass.",
     [](const EngineStatus& s) { return static_cast<double>(s.steps.accepted_drafts); }},
    {MetricType::Counter, "sdar_blocks_total", "Diffusion blocks that were finished.",
     [](const EngineStatus& s) { return static_cast<double>(s.steps.steps_per_block.total()); }},
    {MetricType::Counter, "sdar_denoising_steps_total", "Denoising steps, counted block by block.",
     [](const EngineStatus& s) { return static_cast<double>(s.steps.reveals_per_step.total()); }},
    {MetricType::Counter, "sdar_revealed_tokens_total",
     "Positions that were revealed, those after the end of an output included.",
     [](const EngineStatus& s) { return static_cast<double>(s.steps.reveals_per_step.sum); }},
    {MetricType::Counter, "sdar_preemptions_total",
     "Times a sequence gave its K/V pages up to be recomputed.",
     [](const EngineStatus& s) { return static_cast<double>(s.preemptions); }},
    {MetricType::Counter, "sdar_prefix_cache_queries_total",
     "Prompt tokens that were looked up in the prefix cache.",
     [](const EngineStatus& s) { return static_cast<double>(s.prefix_cache_queried_tokens); }},
    {MetricType::Counter, "sdar_prefix_cache_hits_total",
     "Prompt tokens that were found in the prefix cache.",
     [](const EngineStatus& s) { return static_cast<double>(s.prefix_cache_hit_tokens); }},
};

SampleLabels ReplicaLabel(size_t replica) { return {{"replica", absl::StrCat(replica)}}; }

void AddStates(const std::vector<EngineStatus>& replicas, FamilyList& out) {
  out.Begin(MetricType::Gauge, "sdar_kv_pages",
            "K/V pages: all, those that sequences hold, those in the prefix cache, held or not.");
  for (size_t r = 0; r < replicas.size(); ++r) {
    const std::string replica = absl::StrCat(r);
    const EngineStatus& status = replicas[r];
    out.Add({{"replica", replica}, {"state", "total"}}, status.total_pages);
    out.Add({{"replica", replica}, {"state", "used"}}, status.total_pages - status.free_pages);
    out.Add({{"replica", replica}, {"state", "cached"}}, status.cached_pages);
  }
  out.Begin(MetricType::Gauge, "sdar_slots", "Slots: all, and those that sequences have.");
  for (size_t r = 0; r < replicas.size(); ++r) {
    const std::string replica = absl::StrCat(r);
    const EngineStatus& status = replicas[r];
    out.Add({{"replica", replica}, {"state", "total"}}, status.total_slots);
    out.Add({{"replica", replica}, {"state", "used"}}, status.total_slots - status.free_slots);
  }
}

void AddReplicas(const std::vector<EngineStatus>& replicas, FamilyList& out) {
  AddStates(replicas, out);
  for (const ReplicaMetric& metric : kReplicaMetrics) {
    out.Begin(metric.type, metric.name, metric.help);
    for (size_t r = 0; r < replicas.size(); ++r) {
      out.Add(ReplicaLabel(r), metric.value(replicas[r]));
    }
  }
  out.Begin(MetricType::Histogram, "sdar_denoising_steps_per_block",
            "Denoising steps that a finished block took.");
  for (size_t r = 0; r < replicas.size(); ++r) {
    out.AddHistogram(ReplicaLabel(r), replicas[r].steps.steps_per_block);
  }
  out.Begin(MetricType::Histogram, "sdar_reveals_per_step",
            "Positions of a block that one denoising step revealed.");
  for (size_t r = 0; r < replicas.size(); ++r) {
    out.AddHistogram(ReplicaLabel(r), replicas[r].steps.reveals_per_step);
  }
}

void AddRanks(const JobView& view, FamilyList& out) {
  out.Begin(MetricType::Gauge, "sdar_rank_heartbeat_age_seconds",
            "Time since the rank was last heard.");
  for (size_t r = 0; r < view.ranks.size(); ++r) {
    out.Add({{"rank", absl::StrCat(r)}},
            absl::ToDoubleSeconds(view.now - view.ranks[r].last_heard));
  }
  out.Begin(MetricType::Counter, "sdar_rank_steps_total",
            "Steps that the rank has said it finished.");
  for (size_t r = 0; r < view.ranks.size(); ++r) {
    out.Add({{"rank", absl::StrCat(r)}}, view.ranks[r].finished_steps);
  }
}

void AddLog(const JobView& view, FamilyList& out) {
  out.Begin(MetricType::Counter, "sdar_log_lines_dropped_total",
            "Log lines of this process that standard error did not take.");
  out.Add({}, view.dropped_log_lines);
  out.Begin(MetricType::Counter, "sdar_trace_spans_dropped_total",
            "Spans of traces that no collector took.");
  out.Add({}, view.dropped_spans);
}

}  // namespace

std::vector<MetricFamily> StatusFamilies(const std::string& model_name, const JobView& view) {
  FamilyList out(model_name);
  AddTotals(view, out);
  AddReplicas(view.status.replicas, out);
  AddRanks(view, out);
  AddLog(view, out);
  return out.Take();
}

}  // namespace sdar
