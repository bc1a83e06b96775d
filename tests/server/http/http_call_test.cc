// SPDX-License-Identifier: Apache-2.0
// Bodies with many prompts: how they reach the service, and what becomes of them.
#include "runtime/server/http/http_call.h"

#include <deque>
#include <functional>

#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/server/api/answers/completion_answer.h"
#include "tests/server/http/gateway_fixture.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

// Samples that the test answers when it likes.
class HeldSamples {
 public:
  Replica MakeReplica() {
    Replica replica = AnsweringReplica();
    replica.submit = [this](std::vector<Submission> samples) {
      absl::MutexLock lock(&mutex_);
      std::vector<SequenceId> ids;
      for (Submission& sample : samples) {
        ids.emplace_back(static_cast<uint64_t>(++submitted_));
        held_.emplace(ids.back(), std::move(sample));
      }
      return absl::StatusOr<std::vector<SequenceId>>(ids);
    };
    replica.cancel = [this](SequenceId id, const absl::Status& status) { End(id, status); };
    return replica;
  }

  // Waits until this many were submitted, since the beginning.
  void AwaitSubmitted(int count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&] {
      mutex_.AssertHeld();
      return submitted_ >= count;
    };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(20)));
  }
  int submitted() const {
    absl::MutexLock lock(&mutex_);
    return submitted_;
  }
  size_t num_held() const {
    absl::MutexLock lock(&mutex_);
    return held_.size();
  }
  GenerationRequest request(SequenceId id) const {
    absl::MutexLock lock(&mutex_);
    return held_.at(id).request;
  }
  std::vector<SequenceId> ids() const {
    absl::MutexLock lock(&mutex_);
    std::vector<SequenceId> ids;
    for (const auto& [id, sample] : held_) ids.push_back(id);
    return ids;
  }
  // Answers one; with scores where it is one that scores.
  void AnswerOne(SequenceId id) {
    const Submission sample = Take(id);
    if (!sample.request.scores()) return Answer(sample);
    SequenceUpdate update;
    for (const TokenId target : sample.request.targets) {
      RevealedToken token;
      token.id = target;
      token.logprob = -1;
      update.tokens.push_back(token);
    }
    update.end.emplace();
    sample.callback(update);
  }
  void End(SequenceId id, const absl::Status& status) {
    {
      absl::MutexLock lock(&mutex_);
      if (held_.count(id) == 0) return;
    }
    SequenceUpdate update;
    update.end.emplace();
    update.end->status = status;
    Take(id).callback(update);
  }

 private:
  Submission Take(SequenceId id) {
    absl::MutexLock lock(&mutex_);
    Submission sample = std::move(held_.at(id));
    held_.erase(id);
    return sample;
  }

  mutable absl::Mutex mutex_;
  std::map<SequenceId, Submission> held_ ABSL_GUARDED_BY(mutex_);
  int submitted_ ABSL_GUARDED_BY(mutex_) = 0;
};

RouterConfig WideRouter() {
  RouterConfig config = TinyRouter();
  config.slots = 1000;
  return config;
}

class HttpCallTest : public GatewayFixture {
 protected:
  HttpCallTest() : HttpCallTest(WideRouter()) {}
  explicit HttpCallTest(const RouterConfig& config)
      : HttpCallTest(std::make_unique<HeldSamples>(), config) {}
  HttpCallTest(std::unique_ptr<HeldSamples> held, const RouterConfig& config)
      : GatewayFixture(held->MakeReplica(), false, config), held_(std::move(held)) {}

  // Sends a completion and returns its connection, whose answer is to be read.
  std::unique_ptr<HttpClient> Send(const Json& body) {
    auto client = std::make_unique<HttpClient>(server_->address());
    client->Send(HttpClient::Text("POST", "/v1/completions", body.dump()));
    return client;
  }

  std::unique_ptr<HeldSamples> held_;
};

// That many prompts of one token each, whose ids count up from 1.
Json Prompts(int count) {
  Json prompts = Json::array();
  for (int i = 1; i <= count; ++i) prompts.push_back(Json::array({i}));
  return prompts;
}

TEST_F(HttpCallTest, PromptsAreAnsweredInTheirOrderWhateverEndsFirst) {
  const auto client = Send({{"prompt", Prompts(3)}, {"n", 2}, {"max_tokens", 8}});
  held_->AwaitSubmitted(6);
  std::vector<SequenceId> ids = held_->ids();
  for (auto id = ids.rbegin(); id != ids.rend(); ++id) held_->AnswerOne(*id);
  const Json body = client->Read().json();
  ASSERT_EQ(body["choices"].size(), 6u);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(body["choices"][i]["index"], i);
  EXPECT_EQ(body["usage"]["prompt_tokens"], 3);
}

TEST_F(HttpCallTest, ALongListIsNotWithTheServiceAtOnce) {
  constexpr int kPrompts = 200;
  const auto client = Send({{"prompt", Prompts(kPrompts)}, {"max_tokens", 8}});
  held_->AwaitSubmitted(64);
  for (int i = 0; i < kPrompts; ++i) {
    held_->AwaitSubmitted(std::min(kPrompts, 64 + i));
    EXPECT_LE(held_->num_held(), 64u);
    ASSERT_GT(held_->num_held(), 0u);
    held_->AnswerOne(held_->ids().front());
  }
  EXPECT_EQ(client->Read().json()["choices"].size(), size_t{kPrompts});
}

TEST_F(HttpCallTest, OnePromptThatFailsEndsTheOthers) {
  const auto client = Send({{"prompt", Prompts(3)}, {"max_tokens", 8}});
  held_->AwaitSubmitted(3);
  held_->End(held_->ids()[1], absl::InternalError("the logits were not finite"));
  const HttpAnswer answer = client->Read();
  EXPECT_EQ(answer.code, 500);
  EXPECT_THAT(answer.body, HasSubstr("the logits were not finite"));
  EXPECT_EQ(held_->num_held(), 0u);
}

TEST_F(HttpCallTest, WhatIsWrongWithOnePromptIsRefusedBeforeAnyIsQueued) {
  Json prompts = Prompts(3);
  prompts.push_back(Json(std::vector<int>(3000, 1)));
  const HttpAnswer answer = Post("/v1/completions", {{"prompt", prompts}});
  EXPECT_EQ(answer.code, 400);
  EXPECT_EQ(answer.json()["error"]["code"], "context_length_exceeded");
  EXPECT_EQ(held_->submitted(), 0);
}

TEST_F(HttpCallTest, APromptIsScoredBeforeItIsGoneOnWith) {
  const auto client =
      Send({{"prompt", {1, 2, 3}}, {"echo", true}, {"logprobs", 0}, {"max_tokens", 8}});
  held_->AwaitSubmitted(1);
  SequenceId id = held_->ids()[0];
  EXPECT_EQ(held_->request(id).targets.size(), 3u);
  held_->AnswerOne(id);
  held_->AwaitSubmitted(2);
  id = held_->ids()[0];
  EXPECT_TRUE(held_->request(id).targets.empty());
  EXPECT_EQ(held_->request(id).prompt.size(), 3u);
  held_->AnswerOne(id);
  const HttpAnswer answer = client->Read();
  EXPECT_EQ(answer.code, 200);
  EXPECT_EQ(answer.json()["choices"][0]["logprobs"]["tokens"].size(), 6u);
}

TEST_F(HttpCallTest, WithoutTokensToGenerateAPromptIsScoredAlone) {
  const auto client = Send({{"prompt", {1, 2}}, {"echo", true}, {"max_tokens", 0}});
  held_->AwaitSubmitted(1);
  held_->AnswerOne(held_->ids()[0]);
  const Json body = client->Read().json();
  EXPECT_EQ(body["usage"]["completion_tokens"], 0);
  EXPECT_EQ(held_->submitted(), 1);
}

TEST_F(HttpCallTest, AStreamHasTheEventsOfAllPromptsAndOneEnd) {
  const auto client = Send({{"prompt", Prompts(3)}, {"max_tokens", 8}, {"stream", true}});
  held_->AwaitSubmitted(3);
  for (const SequenceId id : held_->ids()) held_->AnswerOne(id);
  const std::string body = client->Read().body;
  for (const char* index : {"\"index\":0", "\"index\":1", "\"index\":2"}) {
    EXPECT_THAT(body, HasSubstr(index));
  }
  EXPECT_EQ(body.find("[DONE]"), body.rfind("[DONE]"));
  EXPECT_THAT(body.substr(body.size() - 14), "data: [DONE]\n\n");
}

TEST_F(HttpCallTest, AClientThatLeavesEndsAllItsPrompts) {
  auto client = Send({{"prompt", Prompts(3)}, {"max_tokens", 8}, {"stream", true}});
  held_->AwaitSubmitted(3);
  client.reset();
  const SteadyTime deadline = SteadyTime::Now() + absl::Seconds(20);
  while (held_->num_held() > 0 && SteadyTime::Now() < deadline)
    absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(held_->num_held(), 0u);
}

TEST_F(HttpCallTest, AServerThatDrainsStillAnswersAListThatItLetIn) {
  constexpr int kPrompts = 100;
  const auto client = Send({{"prompt", Prompts(kPrompts)}, {"max_tokens", 8}});
  held_->AwaitSubmitted(64);
  service_.Refuse(absl::UnavailableError("draining"));
  EXPECT_EQ(Post("/v1/completions", {{"prompt", "late"}}).code, 503);
  for (int i = 0; i < kPrompts; ++i) {
    held_->AwaitSubmitted(std::min(kPrompts, 64 + i));
    ASSERT_GT(held_->num_held(), 0u);
    held_->AnswerOne(held_->ids().front());
  }
  const HttpAnswer answer = client->Read();
  EXPECT_EQ(answer.code, 200);
  EXPECT_EQ(answer.json()["choices"].size(), size_t{kPrompts});
}

// What was posted to an exchange, from any thread.
class PostedWork {
 public:
  void Add(std::function<void()> work) {
    absl::MutexLock lock(&mutex_);
    work_.push_back(std::move(work));
  }
  // Runs the first of it; false when there is none.
  bool RunOne() {
    std::function<void()> work;
    {
      absl::MutexLock lock(&mutex_);
      if (work_.empty()) return false;
      work = std::move(work_.front());
      work_.pop_front();
    }
    work();
    return true;
  }

 private:
  absl::Mutex mutex_;
  std::deque<std::function<void()>> work_ ABSL_GUARDED_BY(mutex_);
};

// An exchange whose client has left before its handler was called.
TEST_F(HttpCallTest, AClientThatHasLeftAlreadyLeavesNothingThatRuns) {
  PostedWork posted;
  HttpExchange exchange;
  exchange.post = [&posted](std::function<void()> work) { posted.Add(std::move(work)); };
  exchange.add_header = [](const std::string&, const std::string&) {};
  exchange.respond = [](const HttpResponse&) {};
  exchange.on_gone = exchange.on_ended = exchange.post;
  ApiCall call;
  call.prompts = {{1}, {2}};
  call.call.fields.max_tokens = 8;
  AnswerForm form = MakeCompletionAnswer(call, {}, text_.tokenizer());
  const auto begun =
      std::make_shared<HttpCall>(std::move(exchange), service_, std::move(call), std::move(form));
  ASSERT_TRUE(begun->Start().ok());
  EXPECT_EQ(held_->submitted(), 1);
  const SteadyTime deadline = SteadyTime::Now() + absl::Seconds(20);
  while (service_.num_open_calls() > 0 && SteadyTime::Now() < deadline) {
    if (!posted.RunOne()) absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(service_.num_open_calls(), 0u);
  EXPECT_EQ(held_->num_held(), 0u);
  EXPECT_EQ(held_->submitted(), 1);
}

TEST_F(HttpCallTest, TheFirstPromptHasTheRequestsId) {
  const auto client = std::make_unique<HttpClient>(server_->address());
  client->Send(HttpClient::Text("POST", "/v1/completions",
                                Json{{"prompt", Prompts(2)}, {"request_id", "mine"}}.dump()));
  held_->AwaitSubmitted(2);
  EXPECT_TRUE(service_.Abort("mine").ok());
  const HttpAnswer answer = client->Read();
  EXPECT_EQ(answer.code, 499);
  EXPECT_EQ(answer.headers.at("x-request-id"), "mine");
  EXPECT_EQ(held_->num_held(), 0u);
}

// One slot, and room for two that wait.
class FullQueueCallTest : public HttpCallTest {
 protected:
  FullQueueCallTest() : HttpCallTest(NarrowRouter()) {}
  static RouterConfig NarrowRouter() {
    RouterConfig config = TinyRouter();
    config.slots = 1;
    config.max_waiting = 2;
    return config;
  }
};

TEST_F(FullQueueCallTest, AListThatFillsTheQueueWaitsForItsOwnRoom) {
  const auto client = Send({{"prompt", Prompts(8)}, {"max_tokens", 8}});
  for (int i = 1; i <= 8; ++i) {
    held_->AwaitSubmitted(i);
    ASSERT_GT(held_->num_held(), 0u);
    held_->AnswerOne(held_->ids().front());
  }
  EXPECT_EQ(client->Read().json()["choices"].size(), 8u);
}

}  // namespace
}  // namespace sdar
