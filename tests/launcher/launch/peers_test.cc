// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/peers.h"

#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

constexpr auto kNotYet = absl::StatusCode::kUnavailable;

// A port of this machine; with Greet, whoever connects is greeted once.
class Listener {
 public:
  Listener() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(fd_, 8), 0);
    socklen_t size = sizeof(address);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~Listener() {
    if (thread_.joinable()) thread_.join();
    close(fd_);
  }
  int port() const { return port_; }
  void Greet(const std::string& greeting) {
    thread_ = std::thread([this, greeting] {
      const int client = accept(fd_, nullptr, nullptr);
      EXPECT_EQ(write(client, greeting.data(), greeting.size()),
                static_cast<ssize_t>(greeting.size()));
      close(client);
    });
  }

 private:
  const int fd_;
  int port_ = 0;
  std::thread thread_;
};

TEST(PeersTest, WhatGreetsAsSshIsReady) {
  Listener listener;
  listener.Greet("SSH-2.0-OpenSSH_9.2\r\n");
  EXPECT_THAT(ProbeSsh("127.0.0.1", listener.port(), absl::Seconds(5)), IsOk());
}

TEST(PeersTest, WhatGreetsOtherwiseOrNotAtAllIsNot) {
  Listener other;
  other.Greet("HTTP/1.1 400 Bad Request\r\n");
  EXPECT_THAT(ProbeSsh("127.0.0.1", other.port(), absl::Seconds(5)),
              StatusIs(kNotYet, HasSubstr("no ssh greets")));
  const Listener silent;
  EXPECT_THAT(ProbeSsh("127.0.0.1", silent.port(), absl::Milliseconds(50)),
              StatusIs(kNotYet, HasSubstr("no ssh greets")));
}

TEST(PeersTest, AClosedPortAndAnUnknownNameAreSaid) {
  int port = 0;
  {
    const Listener gone;
    port = gone.port();
  }
  EXPECT_THAT(ProbeSsh("127.0.0.1", port, absl::Seconds(5)),
              StatusIs(kNotYet, HasSubstr("127.0.0.1:")));
  EXPECT_THAT(ProbeSsh("no-such-host.invalid", 22, absl::Seconds(5)),
              StatusIs(kNotYet, HasSubstr("no-such-host.invalid: ")));
}

TEST(PeersTest, ThisMachineIsKnownByItsAddresses) {
  EXPECT_TRUE(IsThisMachine("localhost"));
  EXPECT_TRUE(IsThisMachine("127.0.0.1"));
  EXPECT_FALSE(IsThisMachine("192.0.2.1"));
  EXPECT_FALSE(IsThisMachine("no-such-host.invalid"));
}

TEST(PeersTest, ThisMachineIsNotWaitedFor) {
  EXPECT_THAT(
      AwaitPeers({{"localhost", 2}}, 1, absl::Seconds(1), [](absl::Duration) { return false; }),
      IsOk());
}

TEST(PeersTest, WaitingEndsWhenAskedToAndAfterTheTimeout) {
  const std::vector<Host> hosts = {{"localhost", 1}, {"no-such-host.invalid", 1}};
  EXPECT_THAT(AwaitPeers(hosts, 1, absl::Hours(1), [](absl::Duration) { return false; }),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("stopped")));
  int rounds = 0;
  EXPECT_THAT(
      AwaitPeers(hosts, 1, absl::ZeroDuration(), [&](absl::Duration) { return ++rounds < 3; }),
      StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("no-such-host.invalid")));
}

}  // namespace
}  // namespace sdar
