// SPDX-License-Identifier: Apache-2.0
// A stretch of time with a name, as OpenTelemetry has it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/json.h"

namespace sdar {

// Where a call comes from: W3C's traceparent.
struct TraceParent {
  std::string trace_id;  // 32 hexadecimal digits; empty: none
  std::string span_id;   // 16 of them
  bool sampled = true;
};

struct Span {
  enum class Kind { kInternal = 1, kServer = 2 };  // OTLP's numbers
  std::string trace_id;
  std::string span_id;
  std::string parent_id;  // empty: none
  std::string name;
  Kind kind = Kind::kInternal;
  int64_t start_ns = 0;  // Unix time
  int64_t end_ns = 0;
  Json attributes = Json::object();  // names to texts, numbers and bools
  std::string error;                 // empty: it went well
};

// The body of a request to a collector (OTLP/HTTP in JSON): ExportTraceServiceRequest of
// opentelemetry-proto. resource: attributes of the process.
Json OtlpBody(const std::vector<Span>& spans, const Json& resource);

}  // namespace sdar
