// SPDX-License-Identifier: Apache-2.0
// Sends spans to an OpenTelemetry collector.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "common/json.h"
#include "common/steady_condition.h"
#include "runtime/server/traces/span.h"

namespace sdar {

// Where a collector listens.
struct OtlpEndpoint {
  bool tls = false;
  std::string host;  // a name or an address, without brackets
  std::string port;
  std::string path;  // "/v1/traces"
};

// Reads http://HOST[:PORT][/PATH], or https. With `is_base` the path of traces follows what the URL
// has, as OpenTelemetry's specification of OTEL_EXPORTER_OTLP_ENDPOINT wants it. InvalidArgument
// says what is wrong.
absl::StatusOr<OtlpEndpoint> ParseOtlpEndpoint(absl::string_view url, bool is_base);

struct OtlpOptions {
  OtlpEndpoint endpoint;
  std::vector<std::pair<std::string, std::string>> headers;  // of every request
  Json resource = Json::object();                            // attributes of the process
  size_t max_queued = 8192;                                  // spans that wait
  absl::Duration interval = absl::Seconds(1);                // between two requests
  absl::Duration timeout = absl::Seconds(5);                 // of a request
};

// "name=value,name=value" with percent-encoded values, as OTEL_EXPORTER_OTLP_HEADERS has them.
// InvalidArgument names a part without "=", or one that could not be a header.
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ParseOtlpHeaders(
    absl::string_view text);

// A thread that sends what has come, an interval after the first of it, or half a queue. A
// collector that does not answer costs spans and a line of the log a minute, nothing else.
// Thread-safe; Add never blocks.
class OtlpExporter {
 public:
  explicit OtlpExporter(OtlpOptions options);
  // Sends what waits, within two timeouts.
  ~OtlpExporter();

  // The spans of one call: all are queued, or all are dropped.
  void Add(std::vector<Span> spans);
  // Spans that no collector got.
  uint64_t num_dropped() const { return dropped_.load(); }

 private:
  void Loop();
  std::vector<Span> TakeBatch(bool& closing);
  void Send(const std::vector<Span>& spans);

  const OtlpOptions options_;
  std::atomic<uint64_t> dropped_{0};
  absl::Mutex mutex_;
  SteadyCondition news_;
  std::vector<Span> queue_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace sdar
