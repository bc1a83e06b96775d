// SPDX-License-Identifier: Apache-2.0
// What sdar-serve tells of itself: metrics, request ids and the log.
#include <set>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/launcher/open_call.h"
#include "tests/launcher/served_job.h"
#include "tests/server/http/http_client.h"
#include "tests/server/metrics/scraped.h"

namespace sdar {
namespace {

constexpr char kTraceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr char kTraceId[] = "0af7651916cd43dd8448eb211c80319c";

std::string Scrape(const ServedJob& job) {
  return HttpClient(job.http_address()).Ask("GET", "/metrics").body;
}

Json ChatBody(const std::string& question) {
  return {{"messages", {{{"role", "user"}, {"content", question}}}}, {"temperature", 0}};
}

HttpAnswer Chat(const ServedJob& job, const Json& body, const std::string& headers = "") {
  return HttpClient(job.http_address()).Ask("POST", "/v1/chat/completions", body.dump(), headers);
}

// The lines of a JSON log that say that a request has finished.
std::vector<Json> FinishedRequests(const ServedJob& job) {
  std::vector<Json> finished;
  for (absl::string_view line : absl::StrSplit(job.Log(), '\n', absl::SkipEmpty())) {
    const auto parsed = ParseJson(line, "line");
    EXPECT_TRUE(parsed.ok()) << line;
    if (parsed.ok() && (*parsed)["message"] == "request finished") finished.push_back(*parsed);
  }
  return finished;
}

TEST(ServeMetricsTest, CountsBothTransportsAlike) {
  ServedJob job(1, {"--served-model-name=tiny,alias"});
  const Generated generated = job.Generate(Ask("What is the capital of Chile?"));
  ASSERT_TRUE(generated.status.ok());
  const HttpAnswer answer = Chat(job, ChatBody("What is the capital of Chile?"));
  ASSERT_EQ(answer.code, 200);
  sdar::v1::GenerateRequest bad = Ask("Hi");
  bad.mutable_sampling()->set_temperature(-1);
  EXPECT_FALSE(job.Generate(bad).status.ok());
  EXPECT_EQ(Chat(job, {{"messages", "none"}}).code, 400);
  const std::string text = Scrape(job);
  const double tokens = generated.finished.usage().completion_tokens();
  EXPECT_EQ(Scraped(text, "sdar_requests_total", {"\"stop\"", R"(model_name="tiny")"}), 2);
  EXPECT_EQ(Scraped(text, "sdar_generation_tokens_total"), 2 * tokens);
  EXPECT_EQ(Scraped(text, "sdar_prompt_tokens_total"),
            2.0 * generated.finished.usage().prompt_tokens());
  EXPECT_EQ(Scraped(text, "sdar_requests_refused_total", {"INVALID_ARGUMENT"}), 2);
  EXPECT_EQ(Scraped(text, "sdar_time_to_first_token_seconds_count"), 2);
}

TEST(ServeMetricsTest, ShowsWhatRunsAndWhatWaitsAndWhatWasAborted) {
  ServedJob job(1, {"--max-sequences=1", "--max-waiting=1"});
  {
    OpenCall running(job);
    HttpClient waiting(job.http_address());
    Json body = ChatBody("Hi");
    body["max_tokens"] = 1900;  // it is still running when its client is found to have gone
    body["ignore_eos"] = true;
    waiting.Send(HttpClient::Text("POST", "/v1/chat/completions", body.dump()));
    EXPECT_TRUE(Eventually([&] {
      const std::string text = Scrape(job);
      return Scraped(text, "sdar_requests_running") == 1 &&
             Scraped(text, "vllm:num_requests_waiting") == 1 &&
             *Scraped(text, "sdar_kv_usage_ratio") > 0;
    }));
    EXPECT_EQ(Chat(job, ChatBody("Hi")).code, 429);
    EXPECT_EQ(Scraped(Scrape(job), "sdar_requests_refused_total", {"RESOURCE_EXHAUSTED"}), 1);
  }
  EXPECT_TRUE(Eventually([&] {
    const std::string text = Scrape(job);
    return Scraped(text, "sdar_requests_total", {"\"abort\""}) == 2 &&
           Scraped(text, "sdar_requests_running") == 0 && Scraped(text, "sdar_kv_usage_ratio") == 0;
  }));
}

TEST(ServeMetricsTest, EveryReplicaHasItsOwnCounters) {
  ServedJob job(2, {"--tensor-parallel=1"});
  OpenCall first(job), second(job);
  EXPECT_TRUE(Eventually([&] {
    const std::string text = Scrape(job);
    return *Scraped(text, "sdar_blocks_total", {R"(replica="0")"}) > 0 &&
           *Scraped(text, "sdar_blocks_total", {R"(replica="1")"}) > 0 &&
           *Scraped(text, "sdar_reveals_per_step_sum", {R"(replica="1")"}) > 0 &&
           Scraped(text, "sdar_slots", {R"(replica="1")", R"(state="used")"}) == 1;
  }));
}

TEST(ServeMetricsTest, AScrapeDoesNotWaitForAStepThatIsStuck) {
  ServedJob job(2);
  OpenCall open(job);
  ASSERT_TRUE(Eventually([&] { return Scraped(Scrape(job), "sdar_requests_running") == 1; }));
  const pid_t stuck = PidOfRank(job, 1);
  kill(stuck, SIGSTOP);
  EXPECT_TRUE(Eventually([&] {
    const std::string text = Scrape(job);
    if (text.empty()) return false;
    return *Scraped(text, "sdar_step_age_seconds") > 1 &&
           *Scraped(text, "sdar_rank_heartbeat_age_seconds", {R"(rank="1")"}) > 1 &&
           Scraped(text, "sdar_requests_running") == 1;
  }));
  kill(stuck, SIGCONT);
}

TEST(ServeMetricsTest, AnOpenCallsIdIsRefusedUnderThatId) {
  ServedJob job(1);
  HttpClient open(job.http_address());
  Json body = ChatBody("Hello!");
  body["max_tokens"] = 1900;
  body["ignore_eos"] = true;
  body["request_id"] = "mine";
  open.Send(HttpClient::Text("POST", "/v1/chat/completions", body.dump()));
  ASSERT_TRUE(Eventually([&] { return job.Status().running() == 1; }));
  Json second = ChatBody("Hello!");
  second["request_id"] = "mine";
  const HttpAnswer again = Chat(job, second);
  EXPECT_EQ(again.code, 409);
  EXPECT_EQ(again.headers.at("x-request-id"), "mine");
  EXPECT_EQ(Scraped(Scrape(job), "sdar_requests_refused_total", {"ALREADY_EXISTS"}), 1);
}

TEST(ServeMetricsTest, TheLogInJsonHasOneLineARequest) {
  ServedJob job(2, {"--log-format=json"});
  sdar::v1::GenerateRequest request = Ask("What is the capital of Chile?");
  request.set_request_id("by-grpc");
  grpc::ClientContext context;
  context.AddMetadata("traceparent", kTraceparent);
  auto reader = job.stub().Generate(&context, request);
  sdar::v1::GenerateResponse response, last;
  while (reader->Read(&response)) last = response;
  ASSERT_TRUE(reader->Finish().ok());
  const std::string headers =
      absl::StrCat("X-Request-Id: by-http\r\ntraceparent: ", kTraceparent, "\r\n");
  ASSERT_EQ(Chat(job, ChatBody("What is the capital of Chile?"), headers).code, 200);
  ASSERT_TRUE(Eventually([&] { return FinishedRequests(job).size() == 2; }));
  std::set<std::string> ids;
  for (const Json& line : FinishedRequests(job)) {
    ids.insert(line["request_id"].get<std::string>());
    EXPECT_EQ(line["trace_id"], kTraceId);
    EXPECT_EQ(line["rank"], 0);
    EXPECT_EQ(line["level"], "info");
    EXPECT_EQ(line["prompt_tokens"], last.finished().usage().prompt_tokens());
    EXPECT_EQ(line["generated_tokens"], last.finished().usage().completion_tokens());
    EXPECT_EQ(line["finish_reasons"], Json({"stop"}));
    EXPECT_EQ(line["steps"], last.finished().usage().denoising_steps());
    EXPECT_LE(line["queue_ms"].get<double>(), line["ttft_ms"].get<double>());
    EXPECT_LE(line["ttft_ms"].get<double>(), line["total_ms"].get<double>());
  }
  EXPECT_EQ(ids, (std::set<std::string>{"by-grpc", "by-http"}));
  EXPECT_FALSE(absl::StrContains(job.Log(), "Chile"));
  EXPECT_FALSE(absl::StrContains(job.Log(), "Santiago"));
}

TEST(ServeMetricsTest, WhyAJobDoesNotStartIsInItsLogToo) {
  const Outcome outcome = RunProcess(
      {std::string(SDAR_BIN_DIR) + "/sdar-serve", "--model=/nowhere", "--log-format=json"});
  EXPECT_EQ(outcome.exit_code, 2);
  const auto line = ParseJson(outcome.err, "line");
  ASSERT_TRUE(line.ok()) << outcome.err;
  EXPECT_EQ((*line)["level"], "error");
  const Outcome unknown = RunProcess(
      {std::string(SDAR_BIN_DIR) + "/sdar-serve", "--model=/nowhere", "--log-format=xml"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, ::testing::HasSubstr("--log-format: expected one of text, json"));
}

}  // namespace
}  // namespace sdar
