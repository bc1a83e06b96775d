// SPDX-License-Identifier: Apache-2.0
// A job's status as metrics, made anew for every scrape.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "common/steady_time.h"
#include "prometheus/metric_family.h"
#include "runtime/cluster/router.h"
#include "runtime/cluster/watchdog.h"

namespace sdar {

// What is known of a job at a scrape.
struct JobView {
  RouterStatus status;
  std::vector<RankHealth> ranks;
  bool healthy = true;
  uint64_t dropped_log_lines = 0;  // of this process
  uint64_t dropped_spans = 0;      // that no collector of traces got
  SteadyTime now;
};

// Gauges of the moment, and counters and histograms that the engines keep. Pure.
std::vector<prometheus::MetricFamily> StatusFamilies(const std::string& model_name,
                                                     const JobView& view);

}  // namespace sdar
