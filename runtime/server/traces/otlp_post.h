// SPDX-License-Identifier: Apache-2.0
// One request to a collector.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "runtime/server/traces/otlp_exporter.h"

namespace sdar {

// Posts a JSON body to the endpoint and reads the answer, at most 64 KiB of it. Unavailable: it
// cannot be reached, does not answer in time, or answers with a code that is not 2xx. Blocks for
// `timeout` at most, besides the resolution of a name.
absl::Status PostOtlp(const OtlpOptions& options, const std::string& body);

}  // namespace sdar
