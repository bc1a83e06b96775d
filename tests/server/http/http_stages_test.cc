// SPDX-License-Identifier: Apache-2.0
// What connections do that are slow, half open, greedy or many, over real sockets.
#include <memory>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/server/http/http_client.h"
#include "tests/server/http/started_server.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

// Refuses all that is not for "/open".
HttpHandlers Guarding() {
  HttpHandlers handlers = Handling(Echo);
  handlers.admit = [](const HttpRequest& request) {
    HttpAdmission admission;
    if (request.path != "/open") admission.refusal = RefusalOf("", 401, "no");
    return admission;
  };
  return handlers;
}

constexpr char kEndlessTrailer[] =
    "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ";

TEST(HttpStagesTest, ATrailerLongerThanAnyLibraryTakesIsRefused) {
  const auto server = StartServer(Handling(Echo));
  HttpClient client(server->address());
  client.Send(kEndlessTrailer + std::string(65'534, 'a') + "\r\n\r\n");
  EXPECT_EQ(client.Read().code, 431);
  EXPECT_EQ(HttpClient(server->address()).Ask("GET", "/").code, 200);
}

TEST(HttpStagesTest, WhatAHandlerThrowsEndsItsConnectionOnly) {
  const auto server = StartServer(Handling([](HttpExchange exchange) {
    if (exchange.request.path == "/throw") throw std::length_error("thrown by a test");
    Echo(std::move(exchange));
  }));
  HttpClient client(server->address());
  EXPECT_EQ(client.Ask("GET", "/throw").code, 0);
  EXPECT_EQ(HttpClient(server->address()).Ask("GET", "/").code, 200);
}

TEST(HttpStagesTest, ABodyIsNotReadForARequestThatIsNotLetIn) {
  const auto server = StartServer(Guarding());
  HttpClient client(server->address());
  client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
  EXPECT_EQ(client.Read().code, 401);  // before a byte of the body
  EXPECT_TRUE(client.AtEnd());
}

TEST(HttpStagesTest, ARefusalIsReadByAClientThatSendsAllFirst) {
  const auto server = StartServer(Guarding());
  HttpClient client(server->address());
  client.Send(HttpClient::Text("POST", "/", std::string(10'000'000, 'x')));
  EXPECT_EQ(client.Read().code, 401);
}

TEST(HttpStagesTest, ARefusedRequestWithASmallBodyKeepsItsConnection) {
  const auto server = StartServer(Guarding());
  HttpClient client(server->address());
  EXPECT_EQ(client.Ask("POST", "/", "small").code, 401);
  EXPECT_EQ(client.Ask("POST", "/open", "small").code, 200);
}

TEST(HttpStagesTest, AClientThatWaitsForLeaveGetsItOrTheAnswer) {
  const auto server = StartServer(Guarding());
  const std::string fields = "Host: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
  HttpClient client(server->address());
  client.Send("POST /open HTTP/1.1\r\n" + fields);
  HttpAnswer leave;
  ASSERT_TRUE(client.ReadHead(leave));
  EXPECT_EQ(leave.code, 100);
  client.Send("hello");
  EXPECT_EQ(client.Read().body, "POST /open  hello");
  client.Send("POST / HTTP/1.1\r\n" + fields);
  EXPECT_EQ(client.Read().code, 401);
}

TEST(HttpStagesTest, AClientThatOnlyStopsSendingGetsItsAnswer) {
  std::shared_ptr<HttpExchange> held;
  absl::Notification asked;
  const auto server = StartServer(Handling([&](HttpExchange exchange) {
    held = std::make_shared<HttpExchange>(std::move(exchange));
    asked.Notify();
  }));
  HttpClient client(server->address());
  client.Send(HttpClient::Text("GET", "/"));
  client.FinishSending();
  asked.WaitForNotification();
  // Long enough for the server to ask whether the client still reads.
  HttpAnswer interim;
  ASSERT_TRUE(client.ReadHead(interim));
  EXPECT_EQ(interim.code, 100);
  Echo(std::move(*held));
  held.reset();
  EXPECT_EQ(client.Read().body, "GET /  ");
}

// What a client sent early does not hide that it has gone.
TEST(HttpStagesTest, AClientThatWentIsNoticedWhateverItSentBefore) {
  for (const std::string& early :
       {std::string("\r\n"), HttpClient::Text("GET", "/next"), std::string(100'000, 'x')}) {
    absl::Notification asked, gone;
    const auto server = StartServer(Handling([&](HttpExchange exchange) {
      exchange.on_gone([&gone] { gone.Notify(); });
      asked.Notify();
    }));
    HttpClient client(server->address());
    client.Send(HttpClient::Text("GET", "/") + early);
    asked.WaitForNotification();
    client.Close();
    gone.WaitForNotification();
  }
}

TEST(HttpStagesTest, ARequestThatDoesNotComeWholeIsGivenUp) {
  HttpServerOptions options;
  options.header_timeout = absl::Milliseconds(50);
  options.body_timeout = absl::Milliseconds(50);
  const auto server = StartServer(Handling(Echo), options);
  HttpClient silent(server->address()), head(server->address()), body(server->address());
  head.Send("GET / HTTP/1.1\r\nHost");
  body.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_TRUE(silent.AtEnd());
  EXPECT_EQ(head.Read().code, 408);
  EXPECT_EQ(body.Read().code, 408);
}

TEST(HttpStagesTest, WaitingConnectionsMakeRoomForNewOnes) {
  HttpServerOptions options;
  options.max_connections = 10;
  const auto server = StartServer(Handling(Echo), options);
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(std::make_unique<HttpClient>(server->address()));
    if (i % 2 == 1) clients.back()->Send("GET / HTTP");  // a head that never ends
  }
  EXPECT_EQ(HttpClient(server->address()).Ask("GET", "/").code, 200);
  EXPECT_TRUE(clients.front()->AtEnd());
}

TEST(HttpStagesTest, EveryAnswerHasADate) {
  const auto server = StartServer(Handling(Echo));
  EXPECT_THAT(HttpClient(server->address()).Ask("GET", "/").headers.at("date"), HasSubstr(" GMT"));
}

}  // namespace
}  // namespace sdar
