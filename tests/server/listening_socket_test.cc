// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/listening_socket.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ListeningSocketTest, AHostIsAnAddressOrAName) {
  EXPECT_THAT(*ResolveHosts("127.0.0.1"), ElementsAre("127.0.0.1"));
  EXPECT_THAT(*ResolveHosts("::1"), ElementsAre("::1"));
  EXPECT_THAT(*ResolveHosts("[::1]"), ElementsAre("::1"));
  EXPECT_THAT(*ResolveHosts("::"), ElementsAre("::"));
  EXPECT_THAT(*ResolveHosts("0.0.0.0, ::"), ElementsAre("::"));
  EXPECT_THAT(*ResolveHosts("::1,127.0.0.1"), ElementsAre("127.0.0.1", "::1"));
  EXPECT_THAT(*ResolveHosts("localhost"), Contains("127.0.0.1"));
}

TEST(ListeningSocketTest, WhatIsNoHostIsNamed) {
  for (const char* host : {"", ",", "127.0.0.1,", "no name", "[::1", "1.2.3.4.5"}) {
    EXPECT_EQ(ResolveHosts(host).status().code(), absl::StatusCode::kInvalidArgument) << host;
  }
  EXPECT_THAT(std::string(ResolveHosts("no name").status().message()), HasSubstr("no name"));
}

TEST(ListeningSocketTest, AllAddressesHaveOnePort) {
  const auto sockets = ListeningSockets::Open("HTTP", {"127.0.0.1", "127.0.0.2"}, 0);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_GT(sockets->port(), 0);
  EXPECT_EQ(sockets->ips().size(), 2u);
}

TEST(ListeningSocketTest, ABusyPortIsNamed) {
  const auto first = ListeningSockets::Open("HTTP", {"127.0.0.1"}, 0);
  const auto second = ListeningSockets::Open("HTTP", {"127.0.0.1"}, first->port());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(first->Text()));
}

TEST(ListeningSocketTest, AnAddressOfANameThatTheMachineHasNotIsLeftOut) {
  const auto sockets = ListeningSockets::Open("HTTP", {"127.0.0.1", "2001:db8::1"}, 0);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_THAT(sockets->ips(), ElementsAre("127.0.0.1"));
  EXPECT_FALSE(ListeningSockets::Open("HTTP", {"2001:db8::1"}, 0).ok());
}

TEST(ListeningSocketTest, TextPutsIpv6InBrackets) {
  EXPECT_EQ(AddressText("::1", 80), "[::1]:80");
  EXPECT_EQ(AddressText("127.0.0.1", 80), "127.0.0.1:80");
}

}  // namespace
}  // namespace sdar
