// SPDX-License-Identifier: Apache-2.0
// One connection of the HTTP server: reads requests and writes their answers, one after the other.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/beast/core.hpp"
#include "boost/beast/http.hpp"
#include "runtime/server/http/http_exchange.h"
#include "runtime/server/http/http_server.h"
#include "runtime/server/http/http_stream.h"

namespace sdar {

// Lives for as long as an operation of its own or a function of an exchange does. All work runs on
// the socket's strand.
class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  // tls: null without. Requires: options and handler outlive the session.
  HttpSession(boost::asio::ip::tcp::socket socket, std::shared_ptr<boost::asio::ssl::context> tls,
              const HttpServerOptions& options, const HttpHandler& handler);

  void Start();
  // Closes the connection. Any thread.
  void Close();

 private:
  using ErrorCode = boost::beast::error_code;
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  using Response = boost::beast::http::response<boost::beast::http::string_body>;

  void Handshake();
  void ReadRequest();
  void OnRequest(ErrorCode error);
  void Refuse(ErrorCode error);
  HttpExchange MakeExchange();
  void Watch();
  void OnWatched(ErrorCode error, size_t bytes);
  void AddAnswers(HttpExchange& exchange);
  void Respond(HttpResponse answer);
  void Send(absl::string_view piece, std::function<void(bool)> sent);
  void BeginEvents();
  void AppendPiece(absl::string_view piece);
  void WriteEvents(std::function<void(bool)> sent);
  void EndEvents();
  void EndExchange();
  void Gone();
  template <typename Head>
  void FillHead(Head& head, int code, const std::string& content_type) const;

  HttpStream stream_;
  boost::asio::steady_timer idle_;
  const HttpServerOptions& options_;
  const HttpHandler& handler_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::optional<Response> response_;                          // on its way
  std::string events_;                                        // likewise
  std::vector<std::pair<std::string, std::string>> headers_;  // of the answer, beside its own
  std::function<void()> on_gone_;
  std::function<void()> on_ended_;
  unsigned version_ = 11;
  bool keep_alive_ = false;
  bool in_exchange_ = false;
  bool begun_events_ = false;
  bool watching_ = false;
  bool gone_ = false;
};

}  // namespace sdar
