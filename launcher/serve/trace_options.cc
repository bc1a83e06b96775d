// SPDX-License-Identifier: Apache-2.0
#include "launcher/serve/trace_options.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "common/log.h"
#include "common/status_macros.h"
#include "launcher/flags/flags.h"

namespace sdar {
namespace {

absl::Status Named(absl::string_view name, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(name, ": ", status.message()));
}

// The first of these that is set, with its name.
std::pair<const char*, std::string> FirstOf(const Environment& environment, const char* first,
                                            const char* second) {
  std::string value = environment(first);
  if (!value.empty()) return {first, std::move(value)};
  return {second, environment(second)};
}

bool IsSwitchedOff(const Environment& environment) {
  return absl::EqualsIgnoreCase(environment("OTEL_SDK_DISABLED"), "true") ||
         absl::EqualsIgnoreCase(environment("OTEL_TRACES_EXPORTER"), "none");
}

bool IsForGrpc(const Environment& environment) {
  return FirstOf(environment, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
             .second == "grpc";
}

}  // namespace

absl::StatusOr<std::optional<OtlpOptions>> ReadTraceOptions(const ServeOptions& options,
                                                            const Environment& environment) {
  constexpr char kTracesEndpoint[] = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
  const char* name = "--otlp-endpoint";
  std::string url = options.otlp_endpoint;
  if (url.empty()) {
    if (IsSwitchedOff(environment)) return std::nullopt;
    std::tie(name, url) = FirstOf(environment, kTracesEndpoint, "OTEL_EXPORTER_OTLP_ENDPOINT");
    if (url.empty()) return std::nullopt;
    if (IsForGrpc(environment)) {
      spdlog::warn("no traces: {} is for gRPC; --otlp-endpoint names one for HTTP", name);
      return std::nullopt;
    }
  }
  OtlpOptions out;
  const auto endpoint = ParseOtlpEndpoint(url, absl::string_view(name) != kTracesEndpoint);
  if (!endpoint.ok()) return Named(name, endpoint.status());
  out.endpoint = *endpoint;
  const auto [headers_name, headers] =
      FirstOf(environment, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS");
  auto parsed = ParseOtlpHeaders(headers);
  if (!parsed.ok()) return Named(headers_name, parsed.status());
  out.headers = *std::move(parsed);
  const std::string service = environment("OTEL_SERVICE_NAME");
  out.resource = {{"service.name", service.empty() ? "sdar" : service},
                  {"service.version", std::string(Version())}};
  return out;
}

}  // namespace sdar
