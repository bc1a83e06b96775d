// SPDX-License-Identifier: Apache-2.0
// Where traces go, by flag or by OpenTelemetry's environment.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

#include "launcher/serve/serve_options.h"
#include "runtime/server/traces/otlp_exporter.h"

namespace sdar {

// Looks a variable of the environment up; empty where it is not set.
using Environment = std::function<std::string(const char* name)>;

// --otlp-endpoint, else OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, else OTEL_EXPORTER_OTLP_ENDPOINT; with
// OTEL_EXPORTER_OTLP_TRACES_HEADERS or OTEL_EXPORTER_OTLP_HEADERS, and OTEL_SERVICE_NAME. Absent:
// nobody wants traces, or OTEL_SDK_DISABLED or OTEL_TRACES_EXPORTER say so, or the environment's
// endpoint is one for gRPC. InvalidArgument names the flag or variable that is malformed.
absl::StatusOr<std::optional<OtlpOptions>> ReadTraceOptions(const ServeOptions& options,
                                                            const Environment& environment);

}  // namespace sdar
