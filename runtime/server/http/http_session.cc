// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/http_session.h"

#include <chrono>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"

#include "boost/asio/dispatch.hpp"
#include "boost/asio/post.hpp"
#include "runtime/server/http/openai_error.h"

namespace sdar {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

constexpr size_t kWatchBytes = 4096;

std::chrono::nanoseconds Nanoseconds(absl::Duration duration) {
  return absl::ToChronoNanoseconds(duration);
}

std::string ToString(beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

HttpSession::HttpSession(asio::ip::tcp::socket socket, std::shared_ptr<asio::ssl::context> tls,
                         const HttpServerOptions& options, const HttpHandler& handler)
    : stream_(std::move(socket), std::move(tls)),
      idle_(stream_.get_executor()),
      options_(options),
      handler_(handler) {}

void HttpSession::Start() {
  asio::dispatch(stream_.get_executor(), [self = shared_from_this()] { self->Handshake(); });
}

void HttpSession::Handshake() {
  if (gone_) return;
  stream_.tcp().expires_after(Nanoseconds(options_.idle_timeout));
  stream_.async_handshake([self = shared_from_this()](ErrorCode error) {
    if (error) return self->Gone();
    self->ReadRequest();
  });
}

void HttpSession::Close() {
  asio::post(stream_.get_executor(), [self = shared_from_this()] { self->Gone(); });
}

void HttpSession::ReadRequest() {
  if (gone_) return;
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(options_.max_header_bytes));
  parser_->body_limit(options_.max_body_bytes);
  stream_.tcp().expires_after(Nanoseconds(options_.idle_timeout));
  http::async_read(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](ErrorCode error, size_t) { self->OnRequest(error); });
}

void HttpSession::OnRequest(ErrorCode error) {
  if (gone_) return;
  if (error) return Refuse(error);
  const auto& request = parser_->get();
  version_ = request.version();
  keep_alive_ = request.keep_alive();
  stream_.tcp().expires_never();
  in_exchange_ = true;
  begun_events_ = false;
  headers_.clear();
  HttpExchange exchange = MakeExchange();
  Watch();
  handler_(std::move(exchange));
}

// Answers what is no request, where that makes sense, and closes.
void HttpSession::Refuse(ErrorCode error) {
  const bool too_large = error == http::error::body_limit || error == http::error::header_limit ||
                         error == http::error::buffer_overflow;
  const bool malformed = error.category() == http::make_error_code(http::error{}).category() &&
                         error != http::error::end_of_stream &&
                         error != http::error::partial_message;
  if (!malformed) return Gone();
  in_exchange_ = true;
  keep_alive_ = false;
  headers_.clear();
  HttpResponse answer;
  answer.code = error == http::error::body_limit ? 413 : too_large ? 431 : 400;
  answer.body = DumpJson(OpenAiError(absl::InvalidArgumentError(
      error == http::error::body_limit
          ? absl::StrCat("the body: expected at most ", options_.max_body_bytes, " bytes")
          : absl::StrCat("not an HTTP request that is understood: ", error.message()))));
  Respond(std::move(answer));
}

HttpExchange HttpSession::MakeExchange() {
  const auto& request = parser_->get();
  HttpExchange exchange;
  exchange.request.method = ToString(request.method_string());
  const beast::string_view target = request.target();
  exchange.request.path = ToString(target.substr(0, target.find('?')));
  exchange.request.request_id = ToString(request["X-Request-Id"]);
  exchange.request.has_certificate =
      options_.tls.client_ca.empty() || stream_.has_client_certificate();
  exchange.request.authorization = ToString(request[http::field::authorization]);
  exchange.request.traceparent = ToString(request["traceparent"]);
  exchange.request.body = std::move(parser_->get().body());
  const auto post = [self = shared_from_this()](std::function<void()> work) {
    asio::post(self->stream_.get_executor(), std::move(work));
  };
  exchange.post = post;
  AddAnswers(exchange);
  exchange.on_gone = [self = shared_from_this(), post](std::function<void()> call) {
    post([self, call = std::move(call)]() mutable {
      if (self->gone_) return call();
      self->on_gone_ = std::move(call);
    });
  };
  exchange.on_ended = [self = shared_from_this(), post](std::function<void()> call) {
    post([self, call = std::move(call)]() mutable {
      if (!self->in_exchange_ || self->gone_) return call();
      self->on_ended_ = std::move(call);
    });
  };
  return exchange;
}

// The ways to answer; each waits its turn behind what was posted before.
void HttpSession::AddAnswers(HttpExchange& exchange) {
  const auto post = exchange.post;
  exchange.add_header = [self = shared_from_this(), post](std::string name, std::string value) {
    post([self, name = std::move(name), value = std::move(value)]() mutable {
      self->headers_.emplace_back(std::move(name), std::move(value));
    });
  };
  exchange.respond = [self = shared_from_this(), post](HttpResponse answer) {
    post([self, answer = std::move(answer)]() mutable { self->Respond(std::move(answer)); });
  };
  exchange.send = [self = shared_from_this(), post](std::string piece,
                                                    std::function<void(bool)> sent) {
    post([self, piece = std::move(piece), sent = std::move(sent)]() mutable {
      self->Send(piece, std::move(sent));
    });
  };
  exchange.end = [self = shared_from_this(), post] { post([self] { self->EndEvents(); }); };
}

// Reads on while the answer is made: this is how a client that goes is noticed. What it reads is
// the beginning of the next request; a client that has sent that already is not watched.
void HttpSession::Watch() {
  if (watching_ || gone_ || buffer_.size() > 0) return;
  watching_ = true;
  stream_.async_read_some(buffer_.prepare(kWatchBytes),
                          [self = shared_from_this()](ErrorCode error, size_t bytes) {
                            self->OnWatched(error, bytes);
                          });
}

void HttpSession::OnWatched(ErrorCode error, size_t bytes) {
  watching_ = false;
  idle_.cancel();
  if (gone_) return;
  if (error) return Gone();
  buffer_.commit(bytes);
  // One piece of a request that comes too early is enough; the rest waits in the socket.
  if (!in_exchange_) ReadRequest();
}

template <typename Head>
void HttpSession::FillHead(Head& head, int code, const std::string& content_type) const {
  head.version(version_);
  head.result(static_cast<unsigned>(code));
  head.set(http::field::server, "sdar");
  head.set(http::field::content_type, content_type);
  for (const auto& [name, value] : headers_) head.set(name, value);
  head.keep_alive(keep_alive_);
}

void HttpSession::Respond(HttpResponse answer) {
  if (gone_) return;
  response_.emplace();
  FillHead(*response_, answer.code, answer.content_type);
  for (const auto& [name, value] : answer.headers) response_->set(name, value);
  response_->body() = std::move(answer.body);
  response_->prepare_payload();
  stream_.tcp().expires_after(Nanoseconds(options_.write_timeout));
  http::async_write(stream_, *response_, [self = shared_from_this()](ErrorCode error, size_t) {
    self->response_.reset();
    if (error) return self->Gone();
    self->EndExchange();
  });
}

void HttpSession::Send(absl::string_view piece, std::function<void(bool)> sent) {
  if (gone_) return sent(false);
  if (!begun_events_) BeginEvents();
  AppendPiece(piece);
  WriteEvents(std::move(sent));
}

// The head goes out with the first piece.
void HttpSession::BeginEvents() {
  begun_events_ = true;
  keep_alive_ =
      keep_alive_ && version_ >= 11;  // without chunks only the connection's end ends them
  http::response<http::empty_body> head;
  FillHead(head, 200, "text/event-stream");
  head.set(http::field::cache_control, "no-cache");
  if (version_ >= 11) head.chunked(true);
  std::ostringstream text;
  text << head.base();
  events_ = text.str();
}

// An empty piece is the end.
void HttpSession::AppendPiece(absl::string_view piece) {
  if (version_ < 11) {
    absl::StrAppend(&events_, piece);
  } else {
    absl::StrAppend(&events_, absl::Hex(piece.size()), "\r\n", piece, "\r\n");
  }
}

void HttpSession::WriteEvents(std::function<void(bool)> sent) {
  stream_.tcp().expires_after(Nanoseconds(options_.write_timeout));
  asio::async_write(stream_, asio::buffer(events_),
                    [self = shared_from_this(), sent = std::move(sent)](ErrorCode error, size_t) {
                      self->events_.clear();
                      if (error) self->Gone();
                      if (!error) self->stream_.tcp().expires_never();
                      sent(!error);
                    });
}

void HttpSession::EndEvents() {
  if (gone_) return;
  if (!begun_events_) BeginEvents();
  AppendPiece("");
  WriteEvents([self = shared_from_this()](bool ok) {
    if (ok) self->EndExchange();
  });
}

void HttpSession::EndExchange() {
  in_exchange_ = false;
  on_gone_ = nullptr;
  if (const auto call = std::exchange(on_ended_, nullptr)) call();
  if (!keep_alive_) return Gone();
  if (!watching_) return ReadRequest();
  // What is being watched for is the beginning of the next request. That read was begun without a
  // time limit, and the stream's limits are for what begins after them.
  idle_.expires_after(Nanoseconds(options_.idle_timeout));
  idle_.async_wait([self = shared_from_this()](ErrorCode error) {
    if (!error && self->watching_ && !self->in_exchange_) self->Gone();
  });
}

void HttpSession::Gone() {
  if (std::exchange(gone_, true)) return;
  idle_.cancel();
  ErrorCode ignored;
  stream_.tcp().socket().shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  stream_.tcp().close();
  if (const auto call = std::exchange(on_gone_, nullptr)) call();
  if (const auto call = std::exchange(on_ended_, nullptr)) call();
}

}  // namespace sdar
