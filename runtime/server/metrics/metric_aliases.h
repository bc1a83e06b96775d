// SPDX-License-Identifier: Apache-2.0
// The names under which dashboards and autoscalers that were made for vLLM look for our metrics.
#pragma once

#include <vector>

#include "prometheus/metric_family.h"

namespace sdar {

// Adds to the families those that have an alias once more, under that name, with the same values.
void AddAliases(std::vector<prometheus::MetricFamily>& families);

}  // namespace sdar
