// SPDX-License-Identifier: Apache-2.0
// What Prometheus' client libraries say of every process: process_cpu_seconds_total and the others.
#pragma once

#include <vector>

#include "prometheus/metric_family.h"

namespace sdar {

// Of this process, read from /proc: processor time, memory, descriptors, threads, start. What
// cannot be read is left out. Any thread.
std::vector<prometheus::MetricFamily> ProcessFamilies();

}  // namespace sdar
