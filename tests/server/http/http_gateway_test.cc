// SPDX-License-Identifier: Apache-2.0
// The routes over real sockets, before a replica that answers at once.
#include "runtime/server/http/http_gateway.h"

#include <set>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spdlog/sinks/ostream_sink.h"

#include "common/log.h"
#include "common/steady_time.h"
#include "runtime/server/http/http_server.h"
#include "tests/server/http/http_client.h"
#include "tests/server/http/started_server.h"
#include "tests/server/metrics/scraped.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kTraceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

// What every sample gets: three tokens in two updates; before them, where it asks for it, a block
// after each of three steps.
void Answer(const Submission& sample) {
  for (int step = 0; step < 3 && sample.request.provisional; ++step) {
    SequenceUpdate update;
    update.provisional.emplace().step = step;
    sample.callback(update);
  }
  SequenceUpdate first;
  first.text = "an answer";
  first.tokens.resize(2);
  sample.callback(first);
  SequenceUpdate last;
  last.tokens.resize(1);
  last.end.emplace();
  last.end->reason = FinishReason::kStop;
  last.end->usage.prompt_tokens = static_cast<int64_t>(sample.request.prompt.size());
  last.end->usage.completion_tokens = 3;
  last.end->usage.denoising_steps = 2;
  last.end->usage.forward_passes = 3;
  last.end->usage.started = SteadyTime::Now();
  sample.callback(last);
}

Replica AnsweringReplica() {
  return {[](std::vector<Submission> samples) -> absl::StatusOr<std::vector<SequenceId>> {
            std::vector<SequenceId> ids;
            for (const Submission& sample : samples) {
              ids.emplace_back(ids.size() + 1);
              Answer(sample);
            }
            return ids;
          },
          [](SequenceId, const absl::Status&) {},
          [] {
            EngineStatus status;
            status.total_slots = status.free_slots = 2;
            status.total_pages = 4;
            status.free_pages = 3;
            return status;
          }};
}

GenerationService::Config ServiceConfig() {
  GenerationService::Config config;
  config.model_name = "tiny";
  config.model_info.set_version("1.2.3");
  config.model_info.set_max_sequence_length(2048);
  config.rank_health = [] { return std::vector<RankHealth>(1); };
  return config;
}

RouterConfig TinyRouter() {
  RouterConfig config;
  config.limits = {4096, 2048, 64, 100, 512};
  return config;
}

// The log is what the gateway's calls wrote; complete once the server has gone.
class HttpGatewayTest : public ::testing::Test {
 protected:
  HttpGatewayTest()
      : text_(*TextCodec::Load(std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny")),
        router_(TinyRouter(), {AnsweringReplica()}),
        service_(ServiceConfig(), text_, router_),
        gateway_(*OriginPolicy::Create("https://chat.example.org", true, {}),
                 *OriginPolicy::Create("", false, {})) {
    gateway_.Serve(service_, workers_, {"tiny"});
    auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log_));
    LogOptions options;
    options.format = LogFormat::kJson;
    logger->set_formatter(MakeLogFormatter(options));
    spdlog::set_default_logger(std::move(logger));
    server_ = StartServer(gateway_.Handlers());
  }
  ~HttpGatewayTest() override {
    workers_.Stop();
    server_.reset();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("none"));
  }

  HttpAnswer Complete(const std::string& headers, Json body = Json::object()) {
    body["prompt"] = "hidden words";
    return HttpClient(server_->address()).Ask("POST", "/v1/completions", body.dump(), headers);
  }
  HttpAnswer Get(const std::string& path) {
    return HttpClient(server_->address()).Ask("GET", path);
  }

  std::ostringstream log_;
  TextCodec text_;
  Router router_;
  GenerationService service_;
  TextWorkers workers_{TextWorkersOptions()};
  HttpGateway gateway_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpGatewayTest, MetricsAreTextThatCountsTheCalls) {
  EXPECT_EQ(Scraped(Get("/metrics").body, "sdar_requests_total", {"\"stop\""}), 0);
  EXPECT_EQ(Complete("").code, 200);
  EXPECT_EQ(Complete("", {{"stream", true}}).code, 200);
  EXPECT_EQ(Complete("", {{"temperature", -1}}).code, 400);
  EXPECT_EQ(Complete("", {{"max_tokens", 100000}}).code, 400);
  const HttpAnswer answer = Get("/metrics");
  EXPECT_EQ(answer.code, 200);
  EXPECT_EQ(answer.headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(Scraped(answer.body, "sdar_requests_total", {"\"stop\"", R"(model_name="tiny")"}), 2);
  EXPECT_EQ(Scraped(answer.body, "sdar_generation_tokens_total"), 6);
  EXPECT_EQ(Scraped(answer.body, "sdar_requests_refused_total", {"INVALID_ARGUMENT"}), 2);
  EXPECT_EQ(Scraped(answer.body, "sdar_kv_usage_ratio"), 0.25);
  EXPECT_EQ(Scraped(answer.body, "sdar_tokens_per_forward_pass_sum"), 2);
}

TEST_F(HttpGatewayTest, ThePageMayAskNobodyButTheServer) {
  const HttpAnswer page = Get("/");
  EXPECT_EQ(page.code, 200);
  EXPECT_EQ(page.headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_THAT(page.headers.at("content-security-policy"), HasSubstr("default-src 'none'"));
  EXPECT_THAT(page.body, StartsWith("<!DOCTYPE html>"));
  EXPECT_THAT(page.body, Not(HasSubstr("://")));
}

TEST_F(HttpGatewayTest, MetricsAreOnlyRead) {
  EXPECT_EQ(HttpClient(server_->address()).Ask("POST", "/metrics").code, 405);
}

TEST_F(HttpGatewayTest, EveryAnswerHasTheRequestsId) {
  const std::string header = "X-Request-Id: mine-7\r\n";
  const HttpAnswer whole = Complete(header);
  EXPECT_EQ(whole.headers.at("x-request-id"), "mine-7");
  EXPECT_THAT(whole.json()["id"].get<std::string>(), StartsWith("cmpl-"));
  EXPECT_EQ(Complete(header, {{"stream", true}}).headers.at("x-request-id"), "mine-7");
  const HttpAnswer refused = Complete(header, {{"temperature", -1}});
  EXPECT_EQ(refused.code, 400);
  EXPECT_EQ(refused.headers.at("x-request-id"), "mine-7");
  EXPECT_EQ(HttpClient(server_->address())
                .Ask("GET", "/v1/completions", "", header)
                .headers.at("x-request-id"),
            "mine-7");
  EXPECT_EQ(Complete(header, {{"request_id", "other"}}).headers.at("x-request-id"), "other");
}

TEST_F(HttpGatewayTest, AStreamReportsEveryStepThoughItsEventsWait) {
  const HttpAnswer answer = Complete("", {{"stream", true}, {"provisional", true}});
  EXPECT_EQ(answer.code, 200);
  for (const char* step : {"\"step\":0", "\"step\":1", "\"step\":2"}) {
    EXPECT_THAT(answer.body, HasSubstr(step));
  }
}

TEST_F(HttpGatewayTest, AnIdThatIsNoTokenIsNotRepeated) {
  for (const std::string& header : {std::string(), std::string("X-Request-Id: two words\r\n"),
                                    "X-Request-Id: " + std::string(200, 'x') + "\r\n"}) {
    const HttpAnswer answer = Complete(header);
    EXPECT_EQ(answer.code, 200);
    EXPECT_THAT(answer.headers.at("x-request-id"), StartsWith("request-"));
  }
  const HttpAnswer refused = Complete("", {{"request_id", "a\r\nX-Other: b"}});
  EXPECT_EQ(refused.code, 400);
  EXPECT_EQ(refused.json()["error"]["param"], "request_id");
  EXPECT_EQ(refused.headers.count("x-other"), 0u);
}

TEST_F(HttpGatewayTest, AHeaderIsOfOneAnswerOnly) {
  HttpClient client(server_->address());
  EXPECT_EQ(
      client.Ask("POST", "/v1/completions", R"({"prompt": "a"})").headers.count("x-request-id"),
      1u);
  EXPECT_EQ(client.Ask("GET", "/health").headers.count("x-request-id"), 0u);
}

TEST_F(HttpGatewayTest, LogsEveryFinishedRequestWithoutItsWords) {
  EXPECT_EQ(
      Complete(absl::StrCat("X-Request-Id: mine\r\ntraceparent: ", kTraceparent, "\r\n")).code,
      200);
  EXPECT_EQ(Complete("traceparent: nonsense\r\n", {{"n", 2}}).code, 200);
  server_.reset();
  const std::vector<std::string> lines = absl::StrSplit(log_.str(), '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2u);
  const Json first = *ParseJson(lines[0], "line");
  EXPECT_EQ(first["message"], "request finished");
  EXPECT_EQ(first["request_id"], "mine");
  EXPECT_EQ(first["trace_id"], "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(first["generated_tokens"], 3);
  EXPECT_EQ(first["finish_reasons"], Json({"stop"}));
  EXPECT_EQ(first["steps"], 2);
  for (const char* time : {"queue_ms", "ttft_ms", "total_ms"}) {
    EXPECT_GE(first[time].get<double>(), 0) << time;
  }
  const Json second = *ParseJson(lines[1], "line");
  EXPECT_FALSE(second.contains("trace_id"));
  EXPECT_EQ(second["finish_reasons"], Json({"stop", "stop"}));
  EXPECT_THAT(log_.str(), Not(HasSubstr("hidden")));
  EXPECT_THAT(log_.str(), Not(HasSubstr("an answer")));
}

TEST_F(HttpGatewayTest, AHeadIsAnsweredWhereAGetIs) {
  HttpClient client(server_->address());
  for (const char* path : {"/health", "/livez", "/v1/models", "/version", "/", "/metrics"}) {
    client.Send(HttpClient::Text("HEAD", path));
    HttpAnswer answer;
    ASSERT_TRUE(client.ReadHead(answer)) << path;
    EXPECT_EQ(answer.code, 200) << path;
  }
  client.Send(HttpClient::Text("HEAD", "/v1/completions"));
  HttpAnswer answer;
  ASSERT_TRUE(client.ReadHead(answer));
  EXPECT_EQ(answer.code, 405);
  EXPECT_EQ(client.Ask("GET", "/livez").body, R"({"status":"ok"})");
}

TEST_F(HttpGatewayTest, EveryRefusalSaysItsOwnCode) {
  const HttpAnswer method = HttpClient(server_->address()).Ask("DELETE", "/tokenize", "{}");
  EXPECT_EQ(method.code, 405);
  EXPECT_EQ(method.json()["error"]["code"], 405);
  EXPECT_EQ(method.headers.at("allow"), "POST, OPTIONS");
  const HttpAnswer coding =
      HttpClient(server_->address()).Ask("POST", "/tokenize", "{}", "Content-Encoding: gzip\r\n");
  EXPECT_EQ(coding.code, 415);
  EXPECT_EQ(coding.json()["error"]["code"], 415);
  EXPECT_EQ(Get("/nowhere").json()["error"]["code"], 404);
}

TEST_F(HttpGatewayTest, ATrailingSlashChangesNothing) {
  EXPECT_EQ(Get("/v1/models/").code, 200);
  EXPECT_EQ(Get("/livez//").code, 200);
}

TEST_F(HttpGatewayTest, ServesOnlyProbesToAListenerOfTheirOwn) {
  const auto probes = StartServer(gateway_.ProbeHandlers());
  for (const char* path : {"/livez", "/readyz", "/startupz", "/health", "/metrics"}) {
    EXPECT_EQ(HttpClient(probes->address()).Ask("GET", path).code, 200) << path;
  }
  EXPECT_EQ(HttpClient(probes->address()).Ask("GET", "/v1/models").code, 404);
  EXPECT_EQ(HttpClient(probes->address()).Ask("GET", "/").code, 404);
  EXPECT_EQ(HttpClient(probes->address()).Ask("POST", "/tokenize", "{}").code, 404);
}

TEST_F(HttpGatewayTest, WhileTheModelLoadsItIsAliveAndNotReady) {
  HttpGateway loading(*OriginPolicy::Create("", true, {}), *OriginPolicy::Create("", false, {}));
  const auto server = StartServer(loading.Handlers());
  EXPECT_EQ(HttpClient(server->address()).Ask("GET", "/livez").code, 200);
  for (const char* path : {"/readyz", "/startupz", "/health", "/v1/models"}) {
    EXPECT_EQ(HttpClient(server->address()).Ask("GET", path).code, 503) << path;
  }
  const HttpAnswer refused = HttpClient(server->address()).Ask("POST", "/tokenize", "{}");
  EXPECT_EQ(refused.code, 503);
  EXPECT_EQ(refused.headers.count("retry-after"), 1u);
}

TEST_F(HttpGatewayTest, APageOfAnotherOriginMayNotAsk) {
  EXPECT_EQ(Complete("Origin: http://evil.example\r\n").code, 403);
  EXPECT_EQ(Complete("Origin: null\r\n").code, 403);
  EXPECT_EQ(Complete("Origin: http://localhost\r\n").code, 200);  // its own page's
  const HttpAnswer allowed = Complete("Origin: https://chat.example.org\r\n");
  EXPECT_EQ(allowed.code, 200);
  EXPECT_EQ(allowed.headers.at("access-control-allow-origin"), "https://chat.example.org");
}

TEST_F(HttpGatewayTest, AnAllowedPageIsToldBeforeItAsks) {
  const HttpAnswer answer = HttpClient(server_->address())
                                .Ask("OPTIONS", "/v1/completions", "",
                                     "Origin: https://chat.example.org\r\n"
                                     "Access-Control-Request-Headers: authorization\r\n");
  EXPECT_EQ(answer.code, 204);
  EXPECT_EQ(answer.headers.at("access-control-allow-methods"), "POST, OPTIONS");
  EXPECT_EQ(answer.headers.at("access-control-allow-headers"), "authorization");
}

TEST_F(HttpGatewayTest, ANameThatIsNotThisMachinesIsNoHost) {
  HttpClient client(server_->address());
  client.Send("GET /health HTTP/1.1\r\nHost: rebound.example:8000\r\n\r\n");
  EXPECT_EQ(client.Read().code, 403);
  client.Send("GET /health HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n");
  EXPECT_EQ(client.Read().code, 200);
}

TEST_F(HttpGatewayTest, IdsOfAnswersAreNeverTheSame) {
  std::set<std::string> ids;
  for (int i = 0; i < 20; ++i) {
    ids.insert(Complete("X-Request-Id: same\r\n").json()["id"].get<std::string>());
  }
  EXPECT_EQ(ids.size(), 20u);
}

}  // namespace
}  // namespace sdar
