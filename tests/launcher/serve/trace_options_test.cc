// SPDX-License-Identifier: Apache-2.0
// Where traces go.
#include "launcher/serve/trace_options.h"

#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::StartsWith;

absl::StatusOr<std::optional<OtlpOptions>> Read(const std::string& flag,
                                                const std::map<std::string, std::string>& values) {
  ServeOptions options;
  options.otlp_endpoint = flag;
  return ReadTraceOptions(options, [&values](const char* name) {
    const auto value = values.find(name);
    return value == values.end() ? std::string() : value->second;
  });
}

TEST(TraceOptionsTest, TheFlagGoesBeforeTheEnvironment) {
  EXPECT_FALSE(Read("", {})->has_value());
  EXPECT_EQ(
      (*Read("http://flag:1", {{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://env"}}))->endpoint.host,
      "flag");
  EXPECT_EQ((*Read("", {{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://env"}}))->endpoint.path,
            "/v1/traces");
  const auto exact = Read("", {{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://env/x"},
                               {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://other"}});
  EXPECT_EQ((*exact)->endpoint.host, "env");
  EXPECT_EQ((*exact)->endpoint.path, "/x");
}

TEST(TraceOptionsTest, TheEnvironmentNamesServiceAndHeaders) {
  const auto read = Read(
      "http://h", {{"OTEL_SERVICE_NAME", "mine"}, {"OTEL_EXPORTER_OTLP_HEADERS", "api-key=k"}});
  EXPECT_EQ((*read)->resource["service.name"], "mine");
  EXPECT_EQ((*read)->headers[0].first, "api-key");
  EXPECT_EQ((*Read("http://h", {}))->resource["service.name"], "sdar");
}

TEST(TraceOptionsTest, TheEnvironmentMaySwitchThemOff) {
  const std::pair<std::string, std::string> endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"};
  EXPECT_FALSE(Read("", {endpoint, {"OTEL_SDK_DISABLED", "true"}})->has_value());
  EXPECT_FALSE(Read("", {endpoint, {"OTEL_TRACES_EXPORTER", "none"}})->has_value());
  EXPECT_FALSE(Read("", {endpoint, {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}})->has_value());
}

TEST(TraceOptionsTest, WhatIsMalformedIsNamed) {
  EXPECT_THAT(Read("collector", {}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("--otlp-endpoint: ")));
  EXPECT_THAT(
      Read("", {{"OTEL_EXPORTER_OTLP_ENDPOINT", "x"}}).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("OTEL_EXPORTER_OTLP_ENDPOINT: ")));
  EXPECT_THAT(
      Read("http://h", {{"OTEL_EXPORTER_OTLP_HEADERS", "x"}}).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("OTEL_EXPORTER_OTLP_HEADERS: ")));
}

}  // namespace
}  // namespace sdar
