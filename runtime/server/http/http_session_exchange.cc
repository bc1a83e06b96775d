// SPDX-License-Identifier: Apache-2.0
// The second half of a session: a request as its handler sees it, and the ways to answer it.
#include <exception>
#include <utility>

#include "boost/asio/post.hpp"
#include "common/log.h"
#include "runtime/server/http/http_session.h"

namespace sdar {

// The request as far as it was read.
HttpRequest HttpSession::MakeRequest() {
  const HttpHead& head = reader_->head();
  HttpRequest request;
  request.method = head.method;
  request.path = head.path;
  request.has_certificate = stream_.has_client_certificate() || !stream_.asks_for_certificate();
  request.authorization = head.authorization;
  request.content_encoding = head.content_encoding;
  request.host = head.host;
  request.origin = head.origin;
  request.request_headers = head.request_headers;
  request.request_id = head.request_id;
  request.traceparent = head.traceparent;
  return request;
}

HttpExchange HttpSession::MakeExchange() {
  HttpExchange exchange;
  exchange.request = MakeRequest();
  exchange.request.body = reader_->TakeBody();
  exchange.request.body_share = reader_->TakeShare();
  // Even on a closed connection: what is posted tells others of it.
  const auto post = [self = shared_from_this()](std::function<void()> work) {
    boost::asio::post(self->stream_.get_executor(), [self, work = std::move(work)] {
      try {
        work();
      } catch (const std::exception& thrown) {
        spdlog::error("HTTP: a connection is closed: {}", thrown.what());
        self->Gone();
      }
    });
  };
  exchange.post = post;
  AddAnswers(exchange);
  exchange.on_gone = [self = shared_from_this(), post](std::function<void()> call) {
    post([self, call = std::move(call)]() mutable {
      if (self->phase_ != Phase::kExchange) return call();
      self->on_gone_ = std::move(call);
    });
  };
  exchange.on_ended = [self = shared_from_this(), post](std::function<void()> call) {
    post([self, call = std::move(call)]() mutable {
      if (self->phase_ != Phase::kExchange) return call();
      self->on_ended_ = std::move(call);
    });
  };
  return exchange;
}

// The ways to answer; each waits its turn after what was posted before.
void HttpSession::AddAnswers(HttpExchange& exchange) {
  const auto post = exchange.post;
  exchange.add_header = [self = shared_from_this(), post](std::string name, std::string value) {
    post([self, name = std::move(name), value = std::move(value)]() mutable {
      self->headers_.emplace_back(std::move(name), std::move(value));
    });
  };
  exchange.respond = [self = shared_from_this(), post](HttpResponse answer) {
    post([self, answer = std::move(answer)]() mutable {
      if (self->phase_ == Phase::kExchange) self->Respond(std::move(answer));
    });
  };
  exchange.send = [self = shared_from_this(), post](std::string piece,
                                                    std::function<void(bool)> sent) {
    post([self, piece = std::move(piece), sent = std::move(sent)]() mutable {
      if (self->phase_ != Phase::kExchange) return sent(false);
      self->Send(piece, std::move(sent));
    });
  };
  exchange.end = [self = shared_from_this(), post] {
    post([self] {
      if (self->phase_ == Phase::kExchange) self->EndEvents();
    });
  };
}

void HttpSession::Respond(HttpResponse answer) {
  const bool to_head = reader_->head().method == "HEAD";
  for (auto& field : answer.headers) headers_.push_back(std::move(field));
  HttpFraming framing;
  framing.version = reader_->head().version;
  keep_alive_ = keep_alive_ && handlers_.may_keep();
  framing.keep_alive = keep_alive_;
  if (answer.code != 204) framing.content_length = answer.body.size();
  if (answer.code == 204) answer.content_type.clear();
  std::string bytes = FormatHttpHead(answer.code, answer.content_type, headers_, framing);
  if (!to_head && answer.code != 204) bytes += answer.body;
  begun_answer_ = true;
  Write(std::move(bytes), [this](bool ok) {
    if (ok) EndExchange();
  });
}

void HttpSession::Send(absl::string_view piece, std::function<void(bool)> sent) {
  std::string bytes = BeginEvents();
  bytes += reader_->head().version < 11 ? std::string(piece) : FormatChunk(piece);
  Write(std::move(bytes), std::move(sent));
}

// The head of an event stream, which goes out with its first piece; empty later.
std::string HttpSession::BeginEvents() {
  if (std::exchange(begun_answer_, true)) return "";
  HttpFraming framing;
  framing.version = reader_->head().version;
  framing.chunked = framing.version >= 11;
  // Where the answer is not in chunks, only the connection's end ends it.
  keep_alive_ = keep_alive_ && framing.chunked && handlers_.may_keep();
  framing.keep_alive = keep_alive_;
  headers_.emplace_back("Cache-Control", "no-cache");
  headers_.emplace_back("X-Accel-Buffering", "no");  // nginx passes events on as they come
  return FormatHttpHead(200, "text/event-stream", headers_, framing);
}

void HttpSession::EndEvents() {
  std::string bytes = BeginEvents();
  if (reader_->head().version >= 11) bytes += FormatChunk("");
  Write(std::move(bytes), [this](bool ok) {
    if (ok) EndExchange();
  });
}

}  // namespace sdar
