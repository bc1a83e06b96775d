// SPDX-License-Identifier: Apache-2.0
// Spans reach a collector, or are dropped and counted.
#include "runtime/server/traces/otlp_exporter.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/log.h"
#include "tests/server/http/started_server.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

// An HTTP server that keeps what it is sent.
class Collector {
 public:
  explicit Collector(int code = 200)
      : server_(StartServer(Handling([this, code](HttpExchange exchange) {
          {
            absl::MutexLock lock(&mutex_);
            requests_.push_back(exchange.request);
            requests_.back().body_share.reset();  // which is the server's
          }
          HttpResponse response;
          response.code = code;
          response.body = "{}";
          exchange.respond(std::move(response));
        }))) {}

  std::string url() const { return "http://" + server_->address(); }
  std::vector<HttpRequest> Await(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&] {
      mutex_.AssertHeld();
      return requests_.size() >= count;
    };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(20)));
    return requests_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<HttpRequest> requests_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<HttpServer> server_;
};

OtlpOptions OptionsFor(const std::string& url) {
  OtlpOptions options;
  options.endpoint = *ParseOtlpEndpoint(url, true);
  options.interval = absl::Milliseconds(1);
  options.resource = {{"service.name", "sdar"}};
  return options;
}

std::vector<Span> Spans(int count) {
  std::vector<Span> spans(static_cast<size_t>(count));
  for (Span& span : spans) span.name = "queue";
  return spans;
}

size_t CountSpans(const HttpRequest& request) {
  return (*ParseJson(request.body, "body"))["resourceSpans"][0]["scopeSpans"][0]["spans"].size();
}

class OtlpExporterTest : public ::testing::Test {
 protected:
  // The registry of loggers is made before threads ask for it: ThreadSanitizer does not see how its
  // library, which is not instrumented, guards that.
  static void SetUpTestSuite() { spdlog::default_logger(); }
};

TEST_F(OtlpExporterTest, SendsWhatItGets) {
  Collector collector;
  OtlpOptions options = OptionsFor(collector.url());
  options.headers = {{"X-Request-Id", "header"}};
  OtlpExporter exporter(options);
  exporter.Add(Spans(3));
  const HttpRequest request = collector.Await(1)[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/v1/traces");
  EXPECT_EQ(request.request_id, "header");
  EXPECT_EQ(CountSpans(request), 3u);
  EXPECT_EQ(exporter.num_dropped(), 0u);
}

TEST_F(OtlpExporterTest, SendsWhatWaitsBeforeItEnds) {
  Collector collector;
  OtlpOptions options = OptionsFor(collector.url());
  options.interval = absl::Hours(1);
  {
    OtlpExporter exporter(options);
    exporter.Add(Spans(2));
  }
  EXPECT_EQ(CountSpans(collector.Await(1)[0]), 2u);
}

TEST_F(OtlpExporterTest, WhatDoesNotFitIsDroppedAndCounted) {
  Collector collector;
  OtlpOptions options = OptionsFor(collector.url());
  options.interval = absl::Hours(1);
  options.max_queued = 10;
  OtlpExporter exporter(options);
  exporter.Add(Spans(4));
  exporter.Add(Spans(7));
  EXPECT_EQ(exporter.num_dropped(), 7u);
}

// Waits until the exporter has dropped so many.
void AwaitDropped(const OtlpExporter& exporter, uint64_t count) {
  const SteadyTime deadline = SteadyTime::Now() + absl::Seconds(20);
  while (exporter.num_dropped() < count && SteadyTime::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(exporter.num_dropped(), count);
}

TEST_F(OtlpExporterTest, ACollectorThatRefusesOrIsNotThereCostsSpans) {
  Collector refusing(503);
  OtlpExporter refused(OptionsFor(refusing.url()));
  refused.Add(Spans(2));
  AwaitDropped(refused, 2);
  OtlpExporter nobody(OptionsFor("http://127.0.0.1:1"));
  nobody.Add(Spans(3));
  AwaitDropped(nobody, 3);
}

TEST_F(OtlpExporterTest, ACollectorThatDoesNotAnswerHoldsNothingUp) {
  absl::Mutex mutex;
  std::vector<HttpExchange> unanswered;
  const auto silent = StartServer(Handling([&](HttpExchange exchange) {
    absl::MutexLock lock(&mutex);
    unanswered.push_back(std::move(exchange));
  }));
  {
    OtlpOptions options = OptionsFor("http://" + silent->address());
    options.timeout = absl::Milliseconds(50);
    OtlpExporter exporter(options);
    exporter.Add(Spans(2));
    AwaitDropped(exporter, 2);
  }
  absl::MutexLock lock(&mutex);
  unanswered.clear();
}

TEST(OtlpEndpointTest, IsReadFromAUrl) {
  const auto base = ParseOtlpEndpoint("http://collector:4318", true);
  ASSERT_THAT(base, IsOk());
  EXPECT_FALSE(base->tls);
  EXPECT_EQ(base->host, "collector");
  EXPECT_EQ(base->port, "4318");
  EXPECT_EQ(base->path, "/v1/traces");
  EXPECT_EQ(ParseOtlpEndpoint("http://h", true)->port, "4318");
  EXPECT_EQ(ParseOtlpEndpoint("https://h/a/", true)->path, "/a/v1/traces");
  EXPECT_EQ(ParseOtlpEndpoint("https://h", true)->port, "443");
  EXPECT_TRUE(ParseOtlpEndpoint("https://h", true)->tls);
  EXPECT_EQ(ParseOtlpEndpoint("http://h:1/own/path", false)->path, "/own/path");
  EXPECT_EQ(ParseOtlpEndpoint("http://[::1]:4318", true)->host, "::1");
  for (const char* url : {"", "collector:4318", "ftp://h", "http://", "http://h:x",
                          "http://h:99999", "http://u:p@h:1", "http://h/a b", "http://[::1"}) {
    EXPECT_THAT(ParseOtlpEndpoint(url, true), StatusIs(absl::StatusCode::kInvalidArgument,
                                                       ::testing::HasSubstr("expected http://")))
        << url;
  }
}

TEST(OtlpHeadersTest, AreReadAsOpenTelemetryWritesThem) {
  EXPECT_THAT(*ParseOtlpHeaders("api-key=a%20b, x=y=z"),
              ElementsAre(Pair("api-key", "a b"), Pair("x", "y=z")));
  EXPECT_THAT(*ParseOtlpHeaders(""), ElementsAre());
  for (const char* text : {"key", "=v", "a b=c", "k=%0d%0aX: y"}) {
    EXPECT_THAT(ParseOtlpHeaders(text).status(),
                StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("NAME=VALUE")))
        << text;
  }
}

}  // namespace
}  // namespace sdar
