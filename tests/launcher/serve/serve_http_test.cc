// SPDX-License-Identifier: Apache-2.0
// sdar-serve over HTTP: the answers that gRPC gives, in OpenAI's forms.
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/launcher/open_call.h"
#include "tests/launcher/served_job.h"
#include "tests/server/http/http_client.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

Json ChatBody(const std::string& question) {
  return {{"messages", {{{"role", "user"}, {"content", question}}}}, {"temperature", 0}};
}

// As long as a request of sdar-tiny can be.
Json LongBody() {
  Json body = ChatBody("Hello!");
  body["max_tokens"] = 1900;
  body["ignore_eos"] = true;
  return body;
}

HttpAnswer Post(const ServedJob& job, const std::string& path, const Json& body) {
  return HttpClient(job.http_address()).Ask("POST", path, body.dump());
}

bool AllSlotsAreFree(ServedJob& job) {
  const sdar::v1::GetStatusResponse status = job.Status();
  return status.free_slots() == status.total_slots() && status.waiting() == 0;
}

// The content of a stream's chunks, which must end as streams do.
std::string ContentOf(const HttpAnswer& answer) {
  std::vector<std::string> events = answer.events();
  EXPECT_FALSE(events.empty());
  if (events.empty()) return "";
  EXPECT_EQ(events.back(), "[DONE]");
  events.pop_back();
  std::string content;
  for (const std::string& event : events) {
    const Json chunk = *ParseJson(event, "chunk");
    for (const Json& choice : chunk["choices"]) content += choice["delta"].value("content", "");
  }
  return content;
}

TEST(ServeHttpTest, GivesTheTextsOfGrpcWholeAndStreamedOnTwoRanks) {
  ServedJob job(2);
  for (const char* question : {"What is the capital of Chile?", "Compute 11 + 16."}) {
    const std::string expected = job.Generate(Ask(question)).text;
    Json body = ChatBody(question);
    const HttpAnswer whole = Post(job, "/v1/chat/completions", body);
    ASSERT_EQ(whole.code, 200) << whole.body;
    const Json json = whole.json();
    EXPECT_EQ(json["choices"][0]["message"]["content"], expected);
    EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
    EXPECT_EQ(json["model"], "sdar-tiny");
    body["stream"] = true;
    body["stream_options"] = {{"include_usage", true}};
    const HttpAnswer streamed = Post(job, "/v1/chat/completions", body);
    EXPECT_EQ(streamed.headers.at("content-type"), "text/event-stream");
    EXPECT_EQ(ContentOf(streamed), expected);
    const std::vector<std::string> events = streamed.events();
    EXPECT_EQ((*ParseJson(events[events.size() - 2], "usage"))["usage"], json["usage"]);
  }
}

TEST(ServeHttpTest, CompletionsTokensAndModelsAreThere) {
  ServedJob job(1, {"--served-model-name=tiny,alias"});
  HttpClient client(job.http_address());
  const Json models = client.Ask("GET", "/v1/models").json();
  EXPECT_EQ(models["data"][0]["id"], "tiny");
  EXPECT_EQ(models["data"][1]["id"], "alias");
  EXPECT_EQ(models["data"][1]["defaults"]["block_length"], 4);
  EXPECT_EQ(models["data"][1]["defaults"]["remasking_strategy"], "low_confidence_dynamic");
  const Json tokens = client.Ask("POST", "/tokenize", R"({"prompt": "Hello!"})").json();
  EXPECT_EQ(tokens["count"], tokens["tokens"].size());
  const Json text =
      client.Ask("POST", "/detokenize", Json{{"tokens", tokens["tokens"]}}.dump()).json();
  EXPECT_EQ(text["prompt"], "Hello!");
  Json body = {{"model", "alias"}, {"prompt", tokens["tokens"]},
               {"max_tokens", 5},  {"n", 2},
               {"logprobs", 2},    {"seed", 1}};
  const HttpAnswer answer = client.Ask("POST", "/v1/completions", body.dump());
  ASSERT_EQ(answer.code, 200) << answer.body;
  EXPECT_EQ(answer.json()["choices"].size(), 2u);
  EXPECT_EQ(answer.json()["usage"]["prompt_tokens"], tokens["count"]);
  EXPECT_EQ(client.Ask("GET", "/health").code, 200);
  EXPECT_EQ(client.Ask("GET", "/version").code, 200);
}

TEST(ServeHttpTest, RefusesInOpenAisFormAndGoesOn) {
  ServedJob job(1, {"--max-sequences=1", "--max-waiting=1"});
  HttpClient client(job.http_address());
  Json bad = ChatBody("Hi");
  bad["temperature"] = -1;
  const HttpAnswer refused = client.Ask("POST", "/v1/chat/completions", bad.dump());
  EXPECT_EQ(refused.code, 400);
  EXPECT_EQ(refused.json()["error"]["param"], "temperature");
  EXPECT_EQ(client.Ask("POST", "/v1/chat/completions", "{").code, 400);
  EXPECT_EQ(client.Ask("GET", "/v1/chat/completions").code, 405);
  EXPECT_EQ(client.Ask("GET", "/nowhere").code, 404);
  bad = ChatBody("Hi");
  bad["model"] = "other";
  EXPECT_EQ(client.Ask("POST", "/v1/chat/completions", bad.dump()).code, 404);

  OpenCall running(job);
  HttpClient waiting(job.http_address());
  waiting.Send(HttpClient::Text("POST", "/v1/chat/completions", LongBody().dump()));
  ASSERT_TRUE(Eventually([&] { return job.Status().waiting() == 1; }));
  const HttpAnswer full = client.Ask("POST", "/v1/chat/completions", ChatBody("Hi").dump());
  EXPECT_EQ(full.code, 429) << full.body;
  EXPECT_GE(std::atoi(full.headers.at("retry-after").c_str()), 1);
}

TEST(ServeHttpTest, AClientThatGoesLeavesNothingRunning) {
  ServedJob job(1);
  for (const bool stream : {false, true}) {
    Json body = LongBody();
    body["stream"] = stream;
    HttpClient client(job.http_address());
    client.Send(HttpClient::Text("POST", "/v1/chat/completions", body.dump()));
    HttpAnswer head;
    if (stream) {
      EXPECT_TRUE(client.ReadHead(head));
    }
    ASSERT_TRUE(Eventually([&] { return job.Status().running() == 1; }));
    client.Close();
    EXPECT_TRUE(Eventually([&] { return AllSlotsAreFree(job); }));
  }
}

TEST(ServeHttpTest, ALostRankIsSaidToEverybody) {
  ServedJob job(2);
  Json body = LongBody();
  body["stream"] = true;
  HttpClient streaming(job.http_address()), whole(job.http_address());
  streaming.Send(HttpClient::Text("POST", "/v1/chat/completions", body.dump()));
  whole.Send(HttpClient::Text("POST", "/v1/chat/completions", LongBody().dump()));
  HttpAnswer head;
  ASSERT_TRUE(streaming.ReadHead(head));
  ASSERT_TRUE(Eventually([&] { return job.Status().running() == 2; }));
  kill(PidOfRank(job, 1), SIGKILL);
  EXPECT_EQ(whole.Read().code, 503);
  std::string rest;
  while (streaming.ReadChunk(rest)) {
  }
  EXPECT_THAT(rest, HasSubstr("\"error\""));
}

TEST(ServeHttpTest, SigtermEndsItThoughConnectionsAreOpen) {
  ServedJob job(1);
  HttpClient idle(job.http_address()), busy(job.http_address());
  EXPECT_EQ(idle.Ask("GET", "/health").code, 200);
  busy.Send(HttpClient::Text("POST", "/v1/chat/completions", LongBody().dump()));
  ASSERT_TRUE(Eventually([&] { return job.Status().running() == 1; }));
  job.process().Signal(SIGTERM);
  EXPECT_EQ(job.process().Wait(15), 0);
  EXPECT_EQ(busy.Read().code, 503);
}

}  // namespace
}  // namespace sdar
