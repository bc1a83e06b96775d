// SPDX-License-Identifier: Apache-2.0
// Requests that travel from rank 0 to another replica and come back as updates, over real streams
// in one process.
#include <memory>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/cluster/replica_client.h"
#include "runtime/cluster/replica_server.h"
#include "tests/cluster/router_fixture.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Rank 0's side and one other replica, whose engine is a fake.
struct Link {
  Link() : server(2, [this](const absl::Status& status) { Lost(status); }) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(server.service());
    builder.SetMaxReceiveMessageSize(-1);
    grpc_server = builder.BuildAndStart();
    client =
        std::make_unique<ReplicaClient>(1, "127.0.0.1:" + std::to_string(port), engine.AsReplica(),
                                        [this](const absl::Status& status) {
                                          stop = status;
                                          stopped.Notify();
                                        });
    EXPECT_THAT(server.AwaitReplicas(absl::Seconds(30)), IsOk());
    remote = server.AsReplica(1);
  }
  ~Link() {
    server.Stop(absl::CancelledError("the test ends"));
    client.reset();
    grpc_server->Shutdown(std::chrono::system_clock::now());
    grpc_server->Wait();
  }
  void Lost(const absl::Status& status) {
    if (lost.HasBeenNotified()) return;
    loss = status;
    lost.Notify();
  }
  std::vector<SequenceId> Submit(TokenId name, int n = 1, size_t length = 1) {
    std::vector<Submission> samples(static_cast<size_t>(n));
    for (Submission& sample : samples) {
      sample.request.prompt.assign(length, name);
      sample.request.stopping.max_tokens = 10;
      sample.callback = ends.For(name);
    }
    const auto ids = remote.submit(std::move(samples));
    EXPECT_THAT(ids, IsOk());
    return *ids;
  }
  void AwaitRunning(size_t count) {
    while (engine.num_running() != count) absl::SleepFor(absl::Milliseconds(1));
  }

  FakeReplica engine;
  Ends ends;
  absl::Notification stopped, lost;
  absl::Status stop, loss;
  ReplicaServer server;
  std::unique_ptr<grpc::Server> grpc_server;
  std::unique_ptr<ReplicaClient> client;
  Replica remote;
};

TEST(ReplicaLinkTest, RequestsArriveInOrderAndTheirEndsComeBack) {
  Link link;
  link.Submit(1, 2);
  link.Submit(2);
  link.AwaitRunning(3);
  EXPECT_THAT(link.engine.given(), ElementsAre(1, 1, 2));
  for (int i = 0; i < 3; ++i) link.engine.EndOldest();
  link.ends.Await(3);
  EXPECT_THAT(link.ends.Of(2), IsOk());
}

TEST(ReplicaLinkTest, ACancelReachesTheSequenceThatIsMeant) {
  Link link;
  link.Submit(1);
  const std::vector<SequenceId> ids = link.Submit(2);
  link.remote.cancel(ids[0], absl::CancelledError("by the test"));
  link.ends.Await(1);
  EXPECT_THAT(link.ends.Of(2), StatusIs(absl::StatusCode::kCancelled, "by the test"));
  EXPECT_EQ(link.engine.num_running(), 1u);
}

TEST(ReplicaLinkTest, WhatTheEngineRefusesEndsWithItsStatus) {
  Link link;
  link.engine.Refuse(absl::UnavailableError("not now"));
  link.Submit(1, 2);
  link.ends.Await(2);
  EXPECT_THAT(link.ends.Of(1), StatusIs(absl::StatusCode::kUnavailable, "not now"));
}

TEST(ReplicaLinkTest, ARequestOfManyMegabytesArrives) {
  Link link;
  link.Submit(100000, 40, 100000);
  link.AwaitRunning(40);
}

TEST(ReplicaLinkTest, TheReplicasStatusArrivesWithoutAnyUpdate) {
  Link link;
  link.Submit(1);
  while (link.remote.status().running != 1) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(link.remote.status().finished_steps, 10u);
}

TEST(ReplicaLinkTest, StopArrivesAndWhatTheReplicaStillHadToSayIsHeard) {
  Link link;
  link.Submit(1);
  link.AwaitRunning(1);
  link.server.Stop(absl::UnavailableError("stopping"));
  link.stopped.WaitForNotification();
  EXPECT_THAT(link.stop, StatusIs(absl::StatusCode::kUnavailable, "stopping"));
  link.engine.EndOldest();
  link.client->Finish();
  link.ends.Await(1);
  EXPECT_FALSE(link.lost.HasBeenNotified());
}

TEST(ReplicaLinkTest, AReplicaThatLeavesUnaskedIsALossThatNamesIt) {
  Link link;
  link.Submit(1);
  link.client.reset();
  link.lost.WaitForNotification();
  EXPECT_THAT(link.loss, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("replica 1")));
  EXPECT_THAT(link.remote.submit({}), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("left")));
}

TEST(ReplicaLinkTest, NamesTheReplicasThatNeverCame) {
  ReplicaServer server(3, [](const absl::Status&) {});
  EXPECT_THAT(server.AwaitReplicas(absl::Milliseconds(20)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("1, 2")));
}

}  // namespace
}  // namespace sdar
