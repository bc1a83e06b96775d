// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/hosts.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kBadHosts = absl::StatusCode::kInvalidArgument;

TEST(HostsTest, AListNamesHostsAndSlots) {
  SDAR_ASSERT_OK_AND_ASSIGN(const std::vector<Host> hosts, ParseHosts("a.example:8,10.0.0.2"));
  EXPECT_THAT(hosts, ElementsAre(Host{"a.example", 8}, Host{"10.0.0.2", 1}));
  EXPECT_EQ(TotalSlots(hosts), 9);
}

TEST(HostsTest, AListThatIsWrongNamesWhatIsWrong) {
  EXPECT_THAT(ParseHosts("a:0"), StatusIs(kBadHosts, HasSubstr("--hosts: a: expected 1 ..")));
  EXPECT_THAT(ParseHosts("a:x"), StatusIs(kBadHosts, HasSubstr("got 'x'")));
  EXPECT_THAT(ParseHosts("a,,b"), StatusIs(kBadHosts, HasSubstr("got ''")));
  EXPECT_THAT(ParseHosts("a,a:2"), StatusIs(kBadHosts, HasSubstr("'a' stands there twice")));
  EXPECT_THAT(ParseHosts("-oProxyCommand=x"), StatusIs(kBadHosts, HasSubstr("name or IPv4")));
}

TEST(HostsTest, AHostfileHasLinesAndComments) {
  SDAR_ASSERT_OK_AND_ASSIGN(
      const std::vector<Host> hosts,
      ParseHostfile("# two machines\nnode-a slots=2\n\n  node-b\tslots=4  # big\r\nnode-c\n", "f"));
  EXPECT_THAT(hosts, ElementsAre(Host{"node-a", 2}, Host{"node-b", 4}, Host{"node-c", 1}));
}

TEST(HostsTest, AHostfileThatIsWrongNamesTheLine) {
  EXPECT_THAT(
      ParseHostfile("a\nb max_slots=3\n", "f"),
      StatusIs(kBadHosts, HasSubstr("f: line 2: expected NAME slots=N, got 'max_slots=3'")));
  EXPECT_THAT(ParseHostfile("# none\n", "f"), StatusIs(kBadHosts, HasSubstr("f names no host")));
}

TEST(HostsTest, ALeaderWorkerSetsPodsFollowFromTheLeader) {
  SDAR_ASSERT_OK_AND_ASSIGN(const std::vector<Host> hosts,
                            LeaderWorkerSetHosts("sdar-1.sdar.prod", "3", 8));
  EXPECT_THAT(hosts, ElementsAre(Host{"sdar-1.sdar.prod", 8}, Host{"sdar-1-1.sdar.prod", 8},
                                 Host{"sdar-1-2.sdar.prod", 8}));
  EXPECT_THAT(LeaderWorkerSetHosts(nullptr, "3", 8),
              StatusIs(kBadHosts, HasSubstr("LWS_LEADER_ADDRESS")));
  EXPECT_THAT(LeaderWorkerSetHosts("a.b", "many", 8),
              StatusIs(kBadHosts, HasSubstr("LWS_GROUP_SIZE")));
}

}  // namespace
}  // namespace sdar
