// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/traces/span.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace sdar {
namespace {

// An AnyValue; integers are texts in OTLP's JSON.
Json OtlpValue(const Json& value) {
  if (value.is_boolean()) return {{"boolValue", value}};
  if (value.is_number_integer()) return {{"intValue", absl::StrCat(value.get<int64_t>())}};
  if (value.is_number()) return {{"doubleValue", value}};
  return {{"stringValue", value}};
}

Json OtlpAttributes(const Json& attributes) {
  Json out = Json::array();
  for (const auto& [key, value] : attributes.items()) {
    out.push_back({{"key", key}, {"value", OtlpValue(value)}});
  }
  return out;
}

Json OtlpSpan(const Span& span) {
  constexpr int kError = 2;
  Json out = {{"traceId", span.trace_id},
              {"spanId", span.span_id},
              {"name", span.name},
              {"kind", static_cast<int>(span.kind)},
              {"startTimeUnixNano", absl::StrCat(span.start_ns)},
              {"endTimeUnixNano", absl::StrCat(span.end_ns)},
              {"attributes", OtlpAttributes(span.attributes)}};
  if (!span.parent_id.empty()) out["parentSpanId"] = span.parent_id;
  if (!span.error.empty()) out["status"] = {{"code", kError}, {"message", span.error}};
  return out;
}

}  // namespace

Json OtlpBody(const std::vector<Span>& spans, const Json& resource) {
  Json list = Json::array();
  for (const Span& span : spans) list.push_back(OtlpSpan(span));
  Json scope = {{"scope", {{"name", "sdar"}}}, {"spans", std::move(list)}};
  return {{"resourceSpans", Json::array({{{"resource", {{"attributes", OtlpAttributes(resource)}}},
                                          {"scopeSpans", Json::array({std::move(scope)})}}})}};
}

}  // namespace sdar
