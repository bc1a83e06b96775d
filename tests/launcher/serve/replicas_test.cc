// SPDX-License-Identifier: Apache-2.0
// Jobs of several replicas from the outside: the same texts, work for all of them, and one end.
#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <grpcpp/grpcpp.h>

#include "common/json.h"
#include "tests/launcher/open_call.h"
#include "tests/launcher/served_job.h"

namespace sdar {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

std::string TensorParallel(int ranks) { return "--tensor-parallel=" + std::to_string(ranks); }

// Requests of different length, block length and sampling, each with its seed.
std::vector<sdar::v1::GenerateRequest> Requests() {
  std::vector<sdar::v1::GenerateRequest> requests;
  for (unsigned i = 0; i < 24; ++i) {
    sdar::v1::GenerateRequest request;
    for (unsigned t = 0; t < 3 + 11 * i; ++t)
      request.mutable_prompt_ids()->add_ids((7 * t + i) % 900);
    request.mutable_sampling()->set_temperature(i % 2 == 0 ? 0.0f : 1.3f);
    request.mutable_sampling()->set_seed(i);
    request.mutable_sampling()->set_block_length(i % 3 == 0 ? 8 : 4);
    request.mutable_output()->set_logprobs(2);
    request.mutable_stopping()->set_max_tokens(20 + 4 * i);
    request.mutable_stopping()->set_ignore_eos(true);
    requests.push_back(request);
  }
  return requests;
}

// All requests at once.
std::vector<Generated> GenerateAll(ServedJob& job,
                                   const std::vector<sdar::v1::GenerateRequest>& requests) {
  std::vector<Generated> all(requests.size());
  std::vector<std::thread> clients;
  for (size_t i = 0; i < requests.size(); ++i) {
    clients.emplace_back([&, i] { all[i] = job.Generate(requests[i]); });
  }
  for (std::thread& client : clients) client.join();
  return all;
}

struct Shape {
  int ranks;
  int tensor_parallel;
};

TEST(ReplicasTest, ConcurrentClientsGetTheTextsThatOneReplicaGivesOneAtATime) {
  const std::vector<sdar::v1::GenerateRequest> requests = Requests();
  for (const Shape& shape : {Shape{2, 1}, Shape{4, 2}}) {
    std::vector<Generated> alone;
    {
      ServedJob one(shape.tensor_parallel);
      for (const auto& request : requests) alone.push_back(one.Generate(request));
    }
    ServedJob job(shape.ranks, {TensorParallel(shape.tensor_parallel)});
    const std::vector<Generated> together = GenerateAll(job, requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      ASSERT_TRUE(together[i].status.ok()) << together[i].status.error_message() << job.Log();
      EXPECT_EQ(together[i].text, alone[i].text) << i;
      EXPECT_EQ(together[i].token_ids, alone[i].token_ids) << i;
      EXPECT_EQ(together[i].finished.reason(), alone[i].finished.reason()) << i;
    }
    sdar::v1::GetStatusResponse status = job.Status();
    for (int i = 0; i < 500 && status.free_slots() < status.total_slots(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      status = job.Status();
    }
    EXPECT_EQ(status.free_slots(), status.total_slots());
    EXPECT_EQ(status.free_pages(), status.total_pages());
    ASSERT_EQ(status.replicas_size(), 2);
    for (const auto& replica : status.replicas()) EXPECT_GT(replica.finished_steps(), 20u);
    ASSERT_EQ(status.rank_steps_size(), shape.ranks);
  }
}

// Token ids by sample.
std::map<uint32_t, std::vector<uint32_t>> SamplesOf(ServedJob& job,
                                                    const sdar::v1::GenerateRequest& request) {
  grpc::ClientContext context;
  auto reader = job.stub().Generate(&context, request);
  std::map<uint32_t, std::vector<uint32_t>> samples;
  for (sdar::v1::GenerateResponse response; reader->Read(&response);) {
    std::vector<uint32_t>& ids = samples[response.delta().index()];
    ids.insert(ids.end(), response.delta().token_ids().begin(), response.delta().token_ids().end());
  }
  EXPECT_TRUE(reader->Finish().ok());
  return samples;
}

TEST(ReplicasTest, SamplesOfARequestAreThoseOfOneReplica) {
  sdar::v1::GenerateRequest request = Requests()[5];
  request.mutable_sampling()->set_n(5);
  ServedJob one(1);
  const auto expected = SamplesOf(one, request);
  EXPECT_EQ(expected.size(), 5u);
  ServedJob job(2, {TensorParallel(1)});
  OpenCall on_the_first(job);  // so that the samples go to the second replica
  EXPECT_EQ(SamplesOf(job, request), expected);
}

TEST(ReplicasTest, AClosedCallFreesItsSlotOnWhateverReplica) {
  ServedJob job(2, {TensorParallel(1)});
  std::vector<std::thread> clients;
  for (int c = 0; c < 6; ++c) {
    clients.emplace_back([&] { job.Generate(LongRequest(), 2); });
  }
  for (std::thread& client : clients) client.join();
  for (int i = 0; i < 500 && job.Status().free_slots() < job.Status().total_slots(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(job.Status().free_slots(), job.Status().total_slots());
}

TEST(ReplicasFailureTest, AKilledRankOfTheSecondReplicaEndsTheJobAndAnswersTheClients) {
  struct Case {
    Shape shape;
    int rank;
  };
  for (const Case& c : {Case{{2, 1}, 1}, Case{{4, 2}, 2}, Case{{4, 2}, 3}}) {
    ServedJob job(c.shape.ranks, {TensorParallel(c.shape.tensor_parallel)});
    OpenCall first(job);   // goes to the first replica
    OpenCall second(job);  // to the second, which has less to do
    const Stopwatch since_kill;
    kill(PidOfRank(job, c.rank), SIGKILL);
    for (OpenCall* call : {&first, &second}) {
      const grpc::Status status = call->Finish();
      EXPECT_THAT(status.error_code(),
                  AnyOf(grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::ABORTED))
          << status.error_message();
    }
    EXPECT_NE(job.process().Wait(kFailureSeconds - since_kill.Seconds()), 0);
    EXPECT_TRUE(AllGone(job.tag(), kFailureSeconds - since_kill.Seconds())) << job.Log();
  }
}

TEST(ReplicasFailureTest, EveryReplicaDrainsAndSigtermEndsThem) {
  for (const Shape& shape : {Shape{2, 1}, Shape{4, 2}}) {
    ServedJob job(shape.ranks, {TensorParallel(shape.tensor_parallel), kLongDrain});
    OpenCall first(job);
    OpenCall second(job);
    job.process().Signal(SIGUSR1);  // mpirun passes it on and waits
    EXPECT_TRUE(first.Finish().ok());
    EXPECT_TRUE(second.Finish().ok());
    EXPECT_EQ(job.process().Wait(10), 0) << job.Log();
    EXPECT_TRUE(AllGone(job.tag(), 5));
  }
  ServedJob job(2, {TensorParallel(1)});
  job.process().Signal(SIGTERM);
  EXPECT_NE(job.process().Wait(10), -1) << job.Log();
  EXPECT_TRUE(AllGone(job.tag(), 5));
}

TEST(ReplicasStartTest, AGroupSizeThatDoesNotDivideTheRanksIsRefused) {
  const Outcome outcome = RunProcess(OnRanks(
      4, "sdar-serve",
      {std::string("--model=") + SDAR_SOURCE_DIR + "/models/sdar-tiny", TensorParallel(3)}));
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("--tensor-parallel: expected a divisor"));
}

TEST(ReplicasStartTest, AProgramWithoutRequestsRunsOneReplica) {
  const Outcome outcome = RunProcess(OnRanks(
      2, "sdar-score",
      {std::string("--model=") + SDAR_SOURCE_DIR + "/models/sdar-tiny", TensorParallel(1)}));
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("--tensor-parallel: this program runs one replica"));
}

TEST(ReplicasGenerateTest, AFileIsAnsweredByAllReplicasAsByOne) {
  ScratchFolder folder;
  std::string lines;
  for (int i = 0; i < 20; ++i) {
    lines += DumpJson({{"id", i},
                       {"prompt", "Compute " + std::to_string(i) + " + 5."},
                       {"max_tokens", 10 + i},
                       {"seed", i},
                       {"ignore_eos", true},
                       {"temperature", 0}}) +
             "\n";
  }
  WriteText(folder.File("in"), lines);
  const auto answers = [&](int ranks) {
    const Outcome outcome = RunProcess(
        OnRanks(ranks, "sdar-generate",
                {std::string("--model=") + SDAR_SOURCE_DIR + "/models/sdar-tiny",
                 "--input=" + folder.File("in"), TensorParallel(1), "--prefix-cache=false",
                 "--drafts=off"}));  // else passes depend on how long they take
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out;
  };
  const std::string one = answers(1);
  EXPECT_FALSE(one.empty());
  EXPECT_EQ(answers(2), one);
}

}  // namespace
}  // namespace sdar
