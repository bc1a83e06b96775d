// SPDX-License-Identifier: Apache-2.0
// A job on two hosts whose network fails.
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <grpcpp/grpcpp.h>

#include "tests/launcher/open_call.h"
#include "tests/launcher/served_job.h"
#include "tests/launcher/two_nodes.h"

namespace sdar {
namespace {

using ::testing::AnyOf;

TEST(PartitionTest, ACutNetworkEndsTheCallAndEveryProcessWithinFifteenSeconds) {
  TwoNodes nodes;
  if (!nodes.made() || !nodes.Enter()) {
    GTEST_SKIP() << "no network namespaces here (they need root): the partition was not tested";
  }
  ServedJob job(nodes.OnBoth("sdar-serve"), {});
  OpenCall call(job);
  const Stopwatch since_cut;
  ASSERT_TRUE(nodes.Cut());
  const grpc::Status status = call.Finish();
  EXPECT_THAT(status.error_code(), AnyOf(grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::ABORTED))
      << status.error_message();
  EXPECT_TRUE(AllGone(job.tag(), kFailureSeconds - since_cut.Seconds())) << job.Log();
  EXPECT_TRUE(AllGone(nodes.agent(), kFailureSeconds - since_cut.Seconds()));
  EXPECT_NE(job.process().Wait(1), 0);
}

}  // namespace
}  // namespace sdar
