// SPDX-License-Identifier: Apache-2.0
// The HTTP server over real sockets, with handlers that a test makes up.
#include "runtime/server/http/http_server.h"

#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/server/http/http_client.h"
#include "tests/server/http/started_server.h"

namespace sdar {
namespace {

// Sends `left` more pieces, each when the one before has been taken.
void SendPieces(const std::shared_ptr<HttpExchange>& exchange, int left) {
  if (left == 0) return exchange->end();
  exchange->send(absl::StrCat("data: ", left, "\n\n"), [exchange, left](bool ok) {
    if (ok) SendPieces(exchange, left - 1);
  });
}

std::unique_ptr<HttpServer> StartHandling(std::function<void(HttpExchange)> handle,
                                          const HttpServerOptions& options = {}) {
  return StartServer(Handling(std::move(handle)), options);
}

TEST(HttpServerTest, AnswersRequestAfterRequestOnOneConnection) {
  const auto server = StartHandling(Echo);
  HttpClient client(server->address());
  const HttpAnswer first = client.Ask("POST", "/a?b=c", "hello", "X-Request-Id: mine\r\n");
  EXPECT_EQ(first.code, 200);
  EXPECT_EQ(first.body, "POST /a mine hello");
  EXPECT_EQ(first.headers.at("content-type"), "application/json");
  EXPECT_EQ(client.Ask("GET", "/d").body, "GET /d  ");
}

TEST(HttpServerTest, AnswersRequestsThatComeTogetherInTheirOrder) {
  const auto server = StartHandling(Echo);
  HttpClient client(server->address());
  std::string together;
  for (int i = 0; i < 20; ++i) together += HttpClient::Text("POST", "/", absl::StrCat(i));
  client.Send(together);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.Read().body, absl::StrCat("POST /  ", i));
}

TEST(HttpServerTest, TakesARequestInSmallPieces) {
  const auto server = StartHandling(Echo);
  HttpClient client(server->address());
  for (char c : HttpClient::Text("POST", "/", "piecemeal")) client.Send(std::string(1, c));
  EXPECT_EQ(client.Read().body, "POST /  piecemeal");
}

TEST(HttpServerTest, EndsWhileConnectionsAreAccepted) {
  for (int i = 0; i < 300; ++i) {
    auto server = StartHandling(Echo);
    HttpClient first(server->address()), second(server->address());
    server.reset();
    EXPECT_TRUE(first.AtEnd());
    EXPECT_TRUE(second.AtEnd());
  }
}

TEST(HttpServerTest, ClosesWhereTheClientAsksForIt) {
  const auto server = StartHandling(Echo);
  HttpClient client(server->address());
  EXPECT_EQ(client.Ask("GET", "/", "", "Connection: close\r\n").code, 200);
  EXPECT_TRUE(client.AtEnd());
}

TEST(HttpServerTest, RefusesWhatIsTooLargeOrNoRequest) {
  HttpServerOptions options;
  options.limits.max_body_bytes = 1000;
  options.limits.max_header_bytes = 2000;
  const auto server = StartHandling(Echo, options);
  const std::pair<std::string, int> cases[] = {
      {HttpClient::Text("POST", "/", std::string(1001, 'x')), 413},
      {HttpClient::Text("GET", "/", "", "X: " + std::string(3000, 'x') + "\r\n"), 431},
      {"NONSENSE\r\n\r\n", 400},
      {"GET / HTTP/9.9\r\n\r\n", 505},
      {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400},
  };
  for (const auto& [text, code] : cases) {
    HttpClient client(server->address());
    client.Send(text);
    const HttpAnswer answer = client.Read();
    EXPECT_EQ(answer.code, code) << text.substr(0, 40);
    EXPECT_EQ(answer.json()["error"]["code"], code);
    EXPECT_TRUE(client.AtEnd());
  }
  EXPECT_EQ(HttpClient(server->address()).Ask("GET", "/").code, 200);
}

TEST(HttpServerTest, StreamsEventsAndGoesOnWithTheConnection) {
  const auto server = StartHandling([](HttpExchange exchange) {
    SendPieces(std::make_shared<HttpExchange>(std::move(exchange)), 3);
  });
  HttpClient client(server->address());
  for (int i = 0; i < 2; ++i) {
    const HttpAnswer answer = client.Ask("GET", "/");
    EXPECT_EQ(answer.code, 200);
    EXPECT_EQ(answer.headers.at("content-type"), "text/event-stream");
    EXPECT_THAT(answer.events(), ::testing::ElementsAre("3", "2", "1"));
  }
}

TEST(HttpServerTest, StreamsToOldClientsWithoutChunks) {
  const auto server = StartHandling([](HttpExchange exchange) {
    SendPieces(std::make_shared<HttpExchange>(std::move(exchange)), 2);
  });
  HttpClient client(server->address());
  client.Send("GET / HTTP/1.0\r\n\r\n");
  const HttpAnswer answer = client.Read();
  EXPECT_EQ(answer.headers.count("transfer-encoding"), 0u);
  EXPECT_THAT(answer.events(), ::testing::ElementsAre("2", "1"));
}

TEST(HttpServerTest, HoldsManyStreamsOnFewThreads) {
  constexpr int kClients = 200;
  const auto server = StartHandling([](HttpExchange exchange) {
    SendPieces(std::make_shared<HttpExchange>(std::move(exchange)), 50);
  });
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<HttpClient>(server->address()));
    clients.back()->Send(HttpClient::Text("GET", "/"));
  }
  for (const auto& client : clients) EXPECT_EQ(client->Read().events().size(), 50u);
}

TEST(HttpServerTest, SaysWhenAClientGoesWhileItsAnswerIsMade) {
  absl::Notification asked, gone;
  const auto server = StartHandling([&](HttpExchange exchange) {
    exchange.on_gone([&gone] { gone.Notify(); });
    asked.Notify();
  });
  HttpClient client(server->address());
  client.Send(HttpClient::Text("GET", "/"));
  asked.WaitForNotification();
  EXPECT_FALSE(gone.HasBeenNotified());
  client.Close();
  gone.WaitForNotification();
}

TEST(HttpServerTest, WhatIsSentToAClientThatWentSaysSo) {
  absl::Notification gone, unsent;
  const auto server = StartHandling([&](HttpExchange exchange) {
    const auto shared = std::make_shared<HttpExchange>(std::move(exchange));
    shared->on_gone([&gone, &unsent, shared] {
      shared->send("data: 1\n\n", [&unsent](bool ok) {
        EXPECT_FALSE(ok);
        unsent.Notify();
      });
      gone.Notify();
    });
  });
  {
    HttpClient client(server->address());
    client.Send(HttpClient::Text("GET", "/"));
  }
  gone.WaitForNotification();
  unsent.WaitForNotification();
}

TEST(HttpServerTest, ItsEndIsTheEndOfItsConnections) {
  absl::Notification asked, gone;
  auto server = StartHandling([&](HttpExchange exchange) {
    exchange.on_gone([&gone] { gone.Notify(); });
    asked.Notify();
  });
  HttpClient waiting(server->address()), idle(server->address());
  waiting.Send(HttpClient::Text("GET", "/"));
  asked.WaitForNotification();
  server.reset();
  EXPECT_TRUE(gone.HasBeenNotified());
  EXPECT_TRUE(waiting.AtEnd());
  EXPECT_TRUE(idle.AtEnd());
}

TEST(HttpServerTest, AnIdleConnectionIsClosedInTheEnd) {
  HttpServerOptions options;
  options.idle_timeout = absl::Milliseconds(50);
  const auto server = StartHandling(Echo, options);
  HttpClient client(server->address());
  EXPECT_EQ(client.Ask("GET", "/").code, 200);
  EXPECT_TRUE(client.AtEnd());
}

}  // namespace
}  // namespace sdar
