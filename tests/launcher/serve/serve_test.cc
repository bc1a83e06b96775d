// SPDX-License-Identifier: Apache-2.0
// sdar-serve from the outside: answers, refusals, concurrency, cancellation, and what happens when
// processes die.
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <grpcpp/grpcpp.h>

#include "common/json.h"
#include "tests/launcher/open_call.h"
#include "tests/launcher/served_job.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

TEST(ServeTest, StreamsTheReferencesAnswersOnOneAndTwoRanks) {
  auto expected = ReadJsonFile(std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny/expected.json");
  ASSERT_TRUE(expected.ok());
  for (int ranks : {1, 2}) {
    ServedJob job(ranks);
    for (size_t i = 1; i < 40; i += 2) {  // the dynamic ones, which are the default strategy
      const Json& run = (*expected)["runs"][i];
      const Generated got =
          job.Generate(Ask(run["request"]["messages"][0]["content"].get<std::string>()));
      ASSERT_TRUE(got.status.ok()) << got.status.error_message() << job.Log();
      EXPECT_EQ(got.text, run["text"].get<std::string>());
      EXPECT_EQ(got.token_ids, run["token_ids"].get<std::vector<uint32_t>>());
      EXPECT_EQ(got.finished.reason(), sdar::v1::Finished::STOP);
    }
  }
}

// A request drawn from a generator: lengths, strategies and sampling vary, the seed is its own.
sdar::v1::GenerateRequest RandomRequest(std::mt19937& random) {
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  sdar::v1::GenerateRequest request;
  for (unsigned i = 0, n = 1 + below(60); i < n; ++i) {
    request.mutable_prompt_ids()->add_ids(below(900));
  }
  sdar::v1::SamplingParameters& sampling = *request.mutable_sampling();
  sampling.set_temperature(below(2) == 0 ? 0.0f : 1.5f);
  sampling.set_seed(random());
  sampling.set_top_p(below(2) == 0 ? 1.0f : 0.95f);
  sampling.set_block_length(below(2) == 0 ? 4 : 8);
  sampling.set_remasking_strategy(static_cast<sdar::v1::RemaskingStrategy>(1 + below(4)));
  request.mutable_stopping()->set_max_tokens(1 + below(80));
  request.mutable_stopping()->set_ignore_eos(below(2) == 0);
  return request;
}

TEST(ServeTest, ThirtyTwoClientsGetTheSameTextsAsOneAtATimeAndLeaveNothingBehind) {
  constexpr int kClients = 32;
  constexpr int kCallsEach = 4;
  ServedJob job(2);
  std::mt19937 random(20261123);
  std::vector<sdar::v1::GenerateRequest> requests;
  std::vector<std::string> alone;
  for (int i = 0; i < kClients * kCallsEach; ++i) {
    requests.push_back(RandomRequest(random));
    const Generated got = job.Generate(requests.back());
    ASSERT_TRUE(got.status.ok()) << got.status.error_message();
    alone.push_back(got.text);
  }
  std::vector<std::thread> clients;
  for (int c = 0; c < kClients; ++c) {
    clients.emplace_back([&, c] {
      std::mt19937 own(static_cast<unsigned>(c));
      for (int call = 0; call < kCallsEach; ++call) {
        const auto index = static_cast<size_t>(c * kCallsEach + call);
        if (own() % 3 == 0) {  // another call that is closed somewhere in the middle
          sdar::v1::GenerateRequest endless = requests[index];
          endless.mutable_stopping()->set_max_tokens(600);
          endless.mutable_stopping()->set_ignore_eos(true);
          job.Generate(endless, static_cast<int>(own() % 5));
        }
        std::this_thread::sleep_for(std::chrono::microseconds(own() % 20000));
        const Generated got = job.Generate(requests[index]);
        EXPECT_TRUE(got.status.ok()) << got.status.error_message();
        EXPECT_EQ(got.text, alone[index]) << index;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  // Cancelled sequences leave within a step of their call's end.
  for (int i = 0; i < 500 && job.Status().free_slots() < job.Status().total_slots(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const sdar::v1::GetStatusResponse status = job.Status();
  EXPECT_EQ(status.free_slots(), status.total_slots());
  EXPECT_EQ(status.free_pages(), status.total_pages());
  EXPECT_EQ(status.waiting(), 0u);
}

TEST(ServeTest, RefusesWhatCannotBeServedAndNamesIt) {
  ServedJob job(1, {"--kv-memory=1MiB", "--max-sequence-length=512"});
  const auto refusal = [&](const sdar::v1::GenerateRequest& request) {
    const Generated got = job.Generate(request);
    EXPECT_EQ(got.text, "");
    return got.status;
  };
  sdar::v1::GenerateRequest request;
  EXPECT_EQ(refusal(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request = Ask("Hello!");
  request.mutable_sampling()->set_top_p(1.5);
  EXPECT_THAT(refusal(request).error_message(), HasSubstr("top_p"));
  request = Ask("Hello!");
  request.mutable_sampling()->set_block_length(7);
  EXPECT_THAT(refusal(request).error_message(), HasSubstr("block_length"));
  request = Ask("Hello!");
  request.mutable_stopping()->set_max_tokens(600);
  EXPECT_THAT(refusal(request).error_message(), HasSubstr("context length is 512 tokens"));
  request = Ask("");
  request.mutable_chat()->mutable_messages(0)->clear_role();
  EXPECT_EQ(refusal(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.Clear();
  request.mutable_prompt_ids()->add_ids(4000000);
  EXPECT_THAT(refusal(request).error_message(), HasSubstr("prompt[0]"));
  // 1 MiB holds 8 pages of this model: enough for the limit of 512 positions, not for more.
  request = Ask("Hello!");
  EXPECT_TRUE(job.Generate(request).status.ok());
}

TEST(ServeTest, ARequestThatCouldNeverFitTheMemoryIsResourceExhausted) {
  ServedJob job(1, {"--kv-memory=1MiB", "--dtype=float32"});
  sdar::v1::GenerateRequest request = Ask("Hello!");
  request.mutable_stopping()->set_max_tokens(1800);
  EXPECT_EQ(job.Generate(request).status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(ServeTest, AFullQueueSaysWhenToTryAgain) {
  ServedJob job(1, {"--max-sequences=1", "--max-waiting=0"});
  OpenCall call(job);
  grpc::ClientContext context;
  auto reader = job.stub().Generate(&context, Ask("Hello!"));
  sdar::v1::GenerateResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto& metadata = context.GetServerTrailingMetadata();
  const auto pushback = metadata.find("grpc-retry-pushback-ms");
  ASSERT_NE(pushback, metadata.end());
  EXPECT_GE(std::stoi(std::string(pushback->second.data(), pushback->second.size())), 100);
}

TEST(ServeTest, ADeadlineIsKeptInTheQueueAndWhileRunning) {
  ServedJob job(1, {"--max-sequences=1"});
  sdar::v1::GenerateRequest request = LongRequest();
  request.mutable_scheduling()->set_timeout_seconds(0.3);
  for (const bool queued : {false, true}) {
    std::unique_ptr<OpenCall> before;
    if (queued) before = std::make_unique<OpenCall>(job);
    EXPECT_EQ(job.Generate(request).status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
}

TEST(ServeTest, TokenizesAndDetokenizes) {
  ServedJob job(1);
  sdar::v1::TokenizeRequest request;
  *request.mutable_chat() = Ask("Hello!").chat();
  sdar::v1::TokenizeResponse tokens;
  grpc::ClientContext first;
  ASSERT_TRUE(job.stub().Tokenize(&first, request, &tokens).ok());
  EXPECT_EQ(tokens.prompt(), "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n");
  sdar::v1::DetokenizeRequest back;
  *back.mutable_ids() = tokens.ids();
  sdar::v1::DetokenizeResponse text;
  grpc::ClientContext second;
  ASSERT_TRUE(job.stub().Detokenize(&second, back, &text).ok());
  EXPECT_EQ(text.text(), tokens.prompt());
}

// What is left of the time that the end of a job may take.
double SecondsLeft(const Stopwatch& since) { return kFailureSeconds - since.Seconds(); }

// The call got text before the job lost a rank.
void ExpectJobFailed(const grpc::Status& status) {
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED) << status.error_message();
}

void ExpectAllGone(ServedJob& job, const Stopwatch& since) {
  EXPECT_NE(job.process().Wait(SecondsLeft(since)), 0);
  EXPECT_TRUE(AllGone(job.tag(), SecondsLeft(since))) << job.Log();
}

// The job's ranks, and the one that something happens to.
struct RankCase {
  int ranks;
  int rank;
};
constexpr RankCase kRankCases[] = {{2, 1}, {4, 1}, {4, 3}};

TEST(ServeFailureTest, AKilledRankEndsTheJobAndAnswersTheClients) {
  for (const RankCase& c : kRankCases) {
    ServedJob job(c.ranks);
    OpenCall call(job);
    const Stopwatch since_kill;
    kill(PidOfRank(job, c.rank), SIGKILL);
    const grpc::Status status = call.Finish();
    ExpectJobFailed(status);
    EXPECT_THAT(status.error_message(), HasSubstr("rank " + std::to_string(c.rank)));
    ExpectAllGone(job, since_kill);
  }
}

TEST(ServeFailureTest, AnIdleJobNoticesAKilledRankToo) {
  ServedJob job(2);
  const Stopwatch since_kill;
  kill(PidOfRank(job, 1), SIGKILL);
  ExpectAllGone(job, since_kill);
}

TEST(ServeFailureTest, AStoppedRankEndsTheJobAndAnswersTheClients) {
  for (const RankCase& c : kRankCases) {
    ServedJob job(c.ranks);
    OpenCall call(job);
    const Stopwatch since_stop;
    kill(PidOfRank(job, c.rank), SIGSTOP);
    ExpectJobFailed(call.Finish());
    ExpectAllGone(job, since_stop);
  }
}

TEST(ServeFailureTest, AKilledCoordinatorLeavesNoRankBehind) {
  for (int ranks : {2, 4}) {
    ServedJob job(ranks);
    OpenCall call(job);
    const Stopwatch since_kill;
    kill(PidOfRank(job, 0), SIGKILL);
    EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
    ExpectAllGone(job, since_kill);
  }
}

TEST(ServeFailureTest, AStoppedCoordinatorEndsTheOtherRanks) {
  ServedJob job(2);
  OpenCall call(job);
  const pid_t other = PidOfRank(job, 1);
  const Stopwatch since_stop;
  kill(PidOfRank(job, 0), SIGSTOP);
  ExpectAllGone(job, since_stop);
  EXPECT_NE(kill(other, 0), 0);
  EXPECT_FALSE(call.Finish().ok());
}

TEST(ServeFailureTest, ASigtermToOneRankAloneIsNotForItToDecide) {
  ServedJob job(4);
  OpenCall call(job);
  kill(PidOfRank(job, 2), SIGTERM);
  EXPECT_TRUE(call.Finish().ok()) << job.Log();
}

TEST(ServeFailureTest, SigtermAndSigintEndEveryProcessAndTheOpenCalls) {
  for (int signal : {SIGTERM, SIGINT}) {
    for (int ranks : {1, 2, 4}) {
      ServedJob job(ranks);
      OpenCall call(job, SlowRequest());
      const Stopwatch since_signal;
      job.process().Signal(signal);
      ExpectJobFailed(call.Finish());
      const int exit_code = job.process().Wait(SecondsLeft(since_signal));
      EXPECT_NE(exit_code, -1) << "signal " << signal << " on " << ranks << job.Log();
      if (ranks == 1) {
        EXPECT_EQ(exit_code, 0) << job.Log();
      }
      EXPECT_TRUE(AllGone(job.tag(), SecondsLeft(since_signal)));
    }
  }
}

TEST(ServeStartTest, ARankCountThatCannotWorkIsRefusedWithTheOnesThatDo) {
  const Outcome outcome = RunProcess(
      OnRanks(3, "sdar-serve", {std::string("--model=") + SDAR_SOURCE_DIR + "/models/sdar-tiny"}));
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("1, 2, 4, 8"));
}

TEST(ServeStartTest, AHubNameIsRefusedWithWhatLoads) {
  const Outcome outcome = RunProcess(OnRanks(1, "sdar-serve", {"--model=JetLM/SDAR-1.7B-Chat"}));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("folder"));
}

TEST(ServeStartTest, ABusyPortIsOneClearLine) {
  ServedJob first(1);
  sdar::v1::GetModelInfoResponse info;
  const std::string port = ReadText(first.tag()).substr(ReadText(first.tag()).rfind(':') + 1);
  const Outcome outcome =
      RunProcess(OnRanks(1, "sdar-serve",
                         {std::string("--model=") + SDAR_SOURCE_DIR + "/models/sdar-tiny",
                          "--port=" + port.substr(0, port.size() - 1), "--log-level=error"}));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("cannot listen"));
}

}  // namespace
}  // namespace sdar
