// SPDX-License-Identifier: Apache-2.0
// The routes over real sockets, before a replica that answers at once.
#include "runtime/server/http/http_gateway.h"

#include <fstream>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <unistd.h>

#include "tests/server/http/gateway_fixture.h"
#include "tests/server/metrics/scraped.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kTraceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

using HttpGatewayTest = GatewayFixture;

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
  workers_.Stop();
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
  HttpGateway loading(*OriginPolicy::Create("", true, {}), *OriginPolicy::Create("", false, {}),
                      false);
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

TEST_F(HttpGatewayTest, AKeyMayComeAsAnthropicsClientsSendIt) {
  const std::string path = ::testing::TempDir() + "keys-" + std::to_string(getpid());
  std::ofstream(path) << "sk-1\n";
  const auto access = AccessKeys::Open(path);
  ASSERT_TRUE(access.ok()) << access.status();
  GenerationService::Config config = ServiceConfig();
  config.access = access->get();
  GenerationService guarded(config, text_, router_);
  HttpGateway gateway(*OriginPolicy::Create("", true, {}), *OriginPolicy::Create("", false, {}),
                      false);
  gateway.Serve(guarded, workers_, {"tiny"});
  const auto server = StartServer(gateway.Handlers());
  const auto code = [&](const std::string& headers) {
    return HttpClient(server->address()).Ask("GET", "/v1/models", "", headers).code;
  };
  EXPECT_EQ(code(""), 401);
  EXPECT_EQ(code("x-api-key: sk-1\r\n"), 200);
  EXPECT_EQ(code("x-api-key: sk-2\r\n"), 401);
  EXPECT_EQ(code("Authorization: Bearer sk-1\r\n"), 200);
  EXPECT_EQ(code("Authorization: Bearer sk-2\r\nx-api-key: sk-1\r\n"), 401);
}

TEST_F(HttpGatewayTest, AModelIsFoundByItsName) {
  EXPECT_EQ(Get("/v1/models/tiny").json()["id"], "tiny");
  EXPECT_EQ(Get("/v1/models/t%69ny").json()["id"], "tiny");
  EXPECT_EQ(Get("/v1/models/org/other").code, 404);
}

TEST_F(HttpGatewayTest, EveryApiAnswersInItsForm) {
  const Json user = Json::array({{{"role", "user"}, {"content", "Hi"}}});
  EXPECT_EQ(Post("/v1/chat/completions", {{"messages", user}}).json()["object"], "chat.completion");
  const Json response = Post("/v1/responses", {{"input", "Hi"}}).json();
  EXPECT_EQ(response["output"][0]["content"][0]["text"], "an answer");
  EXPECT_THAT(response["id"].get<std::string>(), StartsWith("resp_"));
  const Json message = Post("/v1/messages", {{"messages", user}, {"max_tokens", 9}}).json();
  EXPECT_EQ(message["content"][0]["text"], "an answer");
  EXPECT_THAT(Post("/v1/messages", {{"messages", user}, {"stream", true}}).body,
              HasSubstr("event: message_stop"));
  EXPECT_GT(Post("/v1/messages/count_tokens", {{"messages", user}}).json()["input_tokens"], 3);
}

TEST_F(HttpGatewayTest, RefusalsHaveTheFormOfTheirApi) {
  const HttpAnswer refused = Post("/v1/messages", Json::object());
  EXPECT_EQ(refused.code, 400);
  EXPECT_EQ(refused.json()["type"], "error");
  EXPECT_EQ(refused.json()["error"]["type"], "invalid_request_error");
  EXPECT_EQ(Get("/v1/messages").json()["type"], "error");
  EXPECT_EQ(Get("/v1/completions").json()["error"]["code"], 405);
}

TEST_F(HttpGatewayTest, AnUnknownFieldIsLoggedOnce) {
  EXPECT_EQ(Complete("", {{"frobnicate", 1}}).code, 200);
  EXPECT_EQ(Complete("", {{"frobnicate", 2}}).code, 200);
  EXPECT_EQ(Post("/tokenize", {{"prompt", "a"}, {"add_special_tokens", true}}).code, 200);
  workers_.Stop();
  server_.reset();
  const std::string log = log_.str();
  const size_t first = log.find("frobnicate");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(log.find("frobnicate", first + 1), std::string::npos);
  EXPECT_THAT(log, HasSubstr("add_special_tokens"));
}

class StrictFieldsTest : public GatewayFixture {
 protected:
  StrictFieldsTest() : GatewayFixture(AnsweringReplica(), true) {}
};

TEST_F(StrictFieldsTest, AnUnknownFieldIsRefusedByItsName) {
  const HttpAnswer refused = Complete("", {{"frobnicate", 1}});
  EXPECT_EQ(refused.code, 400);
  EXPECT_EQ(refused.json()["error"]["param"], "frobnicate");
  EXPECT_EQ(Post("/tokenize", {{"prompt", "a"}, {"x", 1}}).code, 400);
  EXPECT_EQ(Complete("", {{"user", "me"}, {"seed", nullptr}}).code, 200);
}

}  // namespace
}  // namespace sdar
