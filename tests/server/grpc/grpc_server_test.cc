// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/grpc/grpc_server.h"

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sdar/v1/generation.grpc.pb.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

// A service whose calls are all UNIMPLEMENTED: an answer nevertheless.
using Service = sdar::v1::GenerationService::Service;

std::unique_ptr<GrpcServer> StartServer(int max_descriptors, Service& service) {
  auto sockets = ListeningSockets::Open("gRPC", {"127.0.0.1"}, 0);
  EXPECT_THAT(sockets, IsOk());
  auto server = GrpcServer::Start(*std::move(sockets), nullptr, max_descriptors, service);
  EXPECT_THAT(server, IsOk());
  return *std::move(server);
}

// Whether a client without a connection gets an answer.
bool IsServed(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto channel =
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  sdar::v1::GetStatusResponse response;
  const grpc::Status status =
      sdar::v1::GenerationService::NewStub(channel)->GetStatus(&context, {}, &response);
  return status.error_code() == grpc::StatusCode::UNIMPLEMENTED;
}

// A connection that says nothing.
class Silent {
 public:
  Silent() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  ~Silent() { close(socket_); }
  Silent(const Silent&) = delete;
  Silent& operator=(const Silent&) = delete;

  bool Connect(const std::string& address) {
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.find(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
  }
  // True once the server has closed it. Waits for what comes first: that, or something to read.
  bool IsClosed() {
    char byte = 0;
    return recv(socket_, &byte, 1, 0) <= 0;
  }
  int descriptor() const { return socket_; }

 private:
  const int socket_;
};

TEST(GrpcServerTest, AnswersOnTheSocketsThatItIsGiven) {
  Service service;
  const auto server = StartServer(1000, service);
  EXPECT_TRUE(IsServed(server->address()));
}

TEST(GrpcServerTest, ClosesConnectionsBeyondItsDescriptorsAndServesWhenThereIsRoomAgain) {
  Service service;
  auto connections = std::make_unique<std::vector<std::unique_ptr<Silent>>>();
  const auto server = StartServer(200, service);
  for (int i = 0; i < 200; ++i) {
    connections->push_back(std::make_unique<Silent>());
    ASSERT_TRUE(connections->back()->Connect(server->address()));
  }
  EXPECT_TRUE(connections->back()->IsClosed());
  connections.reset();
  EXPECT_TRUE(IsServed(server->address()));
}

TEST(GrpcServerTest, ServesOnAfterAnAcceptThatFoundNoDescriptor) {
  Service service;
  const auto server = StartServer(1000, service);
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  Silent waits;  // has the lowest free descriptor, so all lower ones are in use
  const rlimit none = {static_cast<rlim_t>(waits.descriptor()) + 1, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_TRUE(waits.Connect(server->address()));
  while (server->acceptor().num_failures() == 0) std::this_thread::yield();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(IsServed(server->address()));
}

}  // namespace
}  // namespace sdar
