// SPDX-License-Identifier: Apache-2.0
// One connection of the HTTP server: reads requests and writes their answers, one after the other.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

#include "boost/asio/steady_timer.hpp"
#include "runtime/server/http/http_exchange.h"
#include "runtime/server/http/http_format.h"
#include "runtime/server/http/http_request_reader.h"
#include "runtime/server/http/http_server.h"
#include "runtime/server/http/http_stream.h"

namespace sdar {

// Lives for as long as an operation of its own or a function of an exchange does. All work runs on
// the socket's strand; what it throws ends this connection and nothing else.
class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  // tls: null without. Requires: options, handlers and budget outlive the session.
  HttpSession(HttpStream::Socket socket, std::shared_ptr<boost::asio::ssl::context> tls,
              const HttpServerOptions& options, const HttpHandlers& handlers, BodyBudget& budget);

  void Start();
  // Closes the connection. Any thread.
  void Close();
  // Closes it unless a request is being read or answered. Any thread.
  void CloseIfWaiting();
  // Since when, in steady nanoseconds, there is no request that has a head; 0: there is one. Any
  // thread.
  int64_t waiting_since_ns() const { return waiting_since_ns_.load(std::memory_order_relaxed); }

 private:
  using ErrorCode = boost::system::error_code;
  // kWaiting: for a request or the rest of its head, or for the client to close.
  enum class Phase { kWaiting, kBody, kExchange, kGone };

  template <typename Work>
  auto Guarded(Work work);
  void SetPhase(Phase phase);
  // Ends the phase unless it is left, or another limit set, before that.
  void SetLimit(absl::Duration limit);
  void ClearLimit();
  void OnLimit();

  void Handshake();
  void NextRequest(absl::Duration limit);
  void Advance();
  void ReadMore();
  void OnRead(ErrorCode error, size_t bytes);
  void OnHead();
  void OnBodyProgress();
  void BeginExchange();
  void Refuse(const HttpFault& fault);
  HttpRequest MakeRequest();
  HttpExchange MakeExchange();
  void AddAnswers(HttpExchange& exchange);

  void Watch();
  void LookAtClient();
  void Probe();

  void Write(std::string bytes, std::function<void(bool)> sent);
  void WriteNext();
  void OnWritten(ErrorCode error);
  void Respond(HttpResponse answer);
  void Send(absl::string_view piece, std::function<void(bool)> sent);
  std::string BeginEvents();
  void EndEvents();
  void EndExchange();
  // The last answer is sent: lets the client read it before the connection is closed.
  void Finish();
  void Discard();
  void Gone();

  HttpStream stream_;
  boost::asio::steady_timer limit_;
  boost::asio::steady_timer watch_;
  const HttpServerOptions& options_;
  const HttpHandlers& handlers_;
  BodyBudget& budget_;
  std::atomic<int64_t> waiting_since_ns_;
  Phase phase_ = Phase::kWaiting;
  uint64_t limit_number_ = 0;  // tells a limit from one that was set later

  std::array<char, 16384> read_;  // what comes
  absl::string_view unread_;      // of it
  std::optional<HttpRequestReader> reader_;
  std::optional<HttpResponse> refusal_;  // to be sent once the body is read
  size_t body_bytes_ = 0;                // that came since the limit was set

  std::deque<std::pair<std::string, std::function<void(bool)>>> writes_;  // the first is on its way
  HttpFields headers_;                                                    // of the answer
  std::function<void()> on_gone_;
  std::function<void()> on_ended_;
  bool reading_ = false;
  bool keep_alive_ = false;
  bool read_whole_ = true;  // nothing of the request is left to be read
  bool begun_answer_ = false;
  int looks_after_end_ = 0;  // looks at a client that sends no more
};

}  // namespace sdar
