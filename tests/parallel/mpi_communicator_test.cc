// SPDX-License-Identifier: Apache-2.0
// Runs under mpirun: every rank runs every test in the same order, and any rank's failure fails the
// job.
#include "parallel/mpi_communicator.h"

#include "tests/parallel/communicator_conformance.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

MpiCommunicator* world = nullptr;  // set by main before the tests run

class MpiConformanceTest : public ::testing::TestWithParam<NamedCheck> {};

TEST_P(MpiConformanceTest, Holds) { EXPECT_THAT(GetParam().check(*world), IsOk()); }

TEST_P(MpiConformanceTest, HoldsWhereRanksYieldTheirCores) {
  world->set_eager(false);
  EXPECT_THAT(GetParam().check(*world), IsOk());
  world->set_eager(true);
}

INSTANTIATE_TEST_SUITE_P(World, MpiConformanceTest, ::testing::ValuesIn(kConformanceChecks),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(MpiCommunicatorTest, ThisJobWasStartedByMpi) {
  EXPECT_TRUE(StartedByMpi());
  EXPECT_GT(world->size(), 1);
}

TEST(MpiCommunicatorTest, ASecondCommunicatorOfTheSameRanksIsSeparate) {
  SDAR_ASSERT_OK_AND_ASSIGN(const auto other, MpiCommunicator::World());
  EXPECT_EQ(other->rank(), world->rank());
  for (const NamedCheck& check : kConformanceChecks) {
    EXPECT_THAT(check.check(*other), IsOk()) << check.name;
  }
}

// The groups' collectives run at the same time: none waits for another group.
TEST(MpiCommunicatorTest, AGroupOfTheWorldIsACommunicatorOfItsOwn) {
  SDAR_ASSERT_OK_AND_ASSIGN(const auto group, MpiCommunicator::OfWorld(world->rank() / 2));
  EXPECT_EQ(group->size(), 2);
  EXPECT_EQ(group->rank(), world->rank() % 2);
  for (const NamedCheck& check : kConformanceChecks) {
    EXPECT_THAT(check.check(*group), IsOk()) << check.name;
  }
}

TEST(MpiCommunicatorTest, ABroadcastBeyondTheRangeOfMpiIsRefused) {
  char byte = 0;
  EXPECT_THAT(world->Broadcast(&byte, int64_t{1} << 31, 0),
              StatusIs(absl::StatusCode::kInternal, ::testing::HasSubstr("2^31")));
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  auto session = sdar::MpiSession::Start();
  if (!session.ok()) {
    std::fprintf(stderr, "%s\n", session.status().ToString().c_str());
    return 1;
  }
  auto communicator = sdar::MpiCommunicator::World();
  if (!communicator.ok()) {
    std::fprintf(stderr, "%s\n", communicator.status().ToString().c_str());
    return 1;
  }
  sdar::world = communicator->get();
  return RUN_ALL_TESTS();
}
