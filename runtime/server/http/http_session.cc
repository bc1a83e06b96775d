// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/http_session.h"

#include <chrono>
#include <exception>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include <netinet/tcp.h>

#include "boost/asio/dispatch.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/write.hpp"
#include "common/log.h"

namespace sdar {
namespace {

namespace asio = boost::asio;

// A body comes at this many bytes per body_timeout at least.
constexpr size_t kBodyProgressBytes = size_t{64} << 10;
// A body that a refused request brings is read to its end up to this size, so that the connection
// can go on.
constexpr uint64_t kReadThroughBytes = 64 << 10;
constexpr std::chrono::milliseconds kLookInterval(100);
// Looks at a client that sends no more, before it is asked whether it still reads; and between two
// such questions.
constexpr int kLooksBeforeProbe = 3;
constexpr int kLooksBetweenProbes = 50;
// How long a client may take to read the last answer and close.
constexpr absl::Duration kLingerTime = absl::Seconds(5);

int64_t SteadyNanos() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

// The state of the TCP connection, as TCP_ESTABLISHED; -1 where it cannot be had.
int TcpState(HttpStream& stream) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  if (getsockopt(stream.tcp().native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return -1;
  return info.tcpi_state;
}

}  // namespace

HttpSession::HttpSession(HttpStream::Socket socket, std::shared_ptr<asio::ssl::context> tls,
                         const HttpServerOptions& options, const HttpHandlers& handlers,
                         BodyBudget& budget)
    : stream_(std::move(socket), std::move(tls)),
      limit_(stream_.get_executor()),
      watch_(stream_.get_executor()),
      options_(options),
      handlers_(handlers),
      budget_(budget),
      waiting_since_ns_(SteadyNanos()) {}

// A handler of an operation: keeps the session alive, does nothing once the connection is closed,
// and lets no exception out.
template <typename Work>
auto HttpSession::Guarded(Work work) {
  return [self = shared_from_this(), work = std::move(work)](auto... arguments) mutable {
    if (self->phase_ == Phase::kGone) return;
    try {
      work(*self, arguments...);
    } catch (const std::exception& thrown) {
      spdlog::error("HTTP: a connection is closed: {}", thrown.what());
      self->Gone();
    }
  };
}

void HttpSession::SetPhase(Phase phase) {
  phase_ = phase;
  waiting_since_ns_.store(phase == Phase::kWaiting ? SteadyNanos() : 0, std::memory_order_relaxed);
}

void HttpSession::SetLimit(absl::Duration limit) {
  limit_.expires_after(absl::ToChronoNanoseconds(limit));
  limit_.async_wait(Guarded([number = ++limit_number_](HttpSession& self, ErrorCode error) {
    if (!error && number == self.limit_number_) self.OnLimit();
  }));
}

void HttpSession::ClearLimit() {
  ++limit_number_;
  limit_.cancel();
}

void HttpSession::OnLimit() {
  const bool in_request = reader_.has_value() && reader_->begun();
  if (!in_request || phase_ == Phase::kExchange || !writes_.empty()) return Gone();
  Refuse({408, "the request did not come whole in time"});
}

void HttpSession::Start() {
  asio::dispatch(stream_.get_executor(), Guarded([](HttpSession& self) { self.Handshake(); }));
}

void HttpSession::Close() {
  asio::post(stream_.get_executor(), Guarded([](HttpSession& self) { self.Gone(); }));
}

void HttpSession::CloseIfWaiting() {
  asio::post(stream_.get_executor(), Guarded([](HttpSession& self) {
               if (self.phase_ == Phase::kWaiting) self.Gone();
             }));
}

void HttpSession::Handshake() {
  SetLimit(options_.header_timeout);
  stream_.async_handshake(Guarded([](HttpSession& self, ErrorCode error) {
    if (error) return self.Gone();
    self.NextRequest(self.options_.header_timeout);
  }));
}

void HttpSession::NextRequest(absl::Duration limit) {
  reader_.emplace(options_.limits, budget_);
  refusal_.reset();
  headers_.clear();
  begun_answer_ = false;
  read_whole_ = true;
  looks_after_end_ = 0;
  SetPhase(Phase::kWaiting);
  SetLimit(limit);
  Advance();
}

void HttpSession::Advance() {
  while (true) {
    const bool had_begun = reader_->begun();
    switch (reader_->Take(unread_)) {
      case HttpRequestReader::Stage::kHead:
        if (reader_->begun() && !had_begun) SetLimit(options_.header_timeout);
        return ReadMore();
      case HttpRequestReader::Stage::kHeadRead:
        OnHead();
        if (phase_ != Phase::kBody) return;
        break;
      case HttpRequestReader::Stage::kBody:
        return ReadMore();
      case HttpRequestReader::Stage::kWhole:
        return BeginExchange();
      case HttpRequestReader::Stage::kFault:
        return Refuse(reader_->fault());
    }
  }
}

void HttpSession::ReadMore() {
  reading_ = true;
  stream_.async_read_some(
      asio::buffer(read_),
      Guarded([](HttpSession& self, ErrorCode error, size_t bytes) { self.OnRead(error, bytes); }));
}

void HttpSession::OnRead(ErrorCode error, size_t bytes) {
  reading_ = false;
  if (!reader_) return error ? Gone() : Discard();
  if (phase_ == Phase::kExchange) return;  // refused meanwhile
  if (error == asio::error::eof && reader_->begun()) {
    return Refuse({400, "the request ends before it is whole"});
  }
  if (error) return Gone();
  unread_ = absl::string_view(read_.data(), bytes);
  if (phase_ == Phase::kBody) {
    body_bytes_ += bytes;
    OnBodyProgress();
  }
  Advance();
}

void HttpSession::OnBodyProgress() {
  if (body_bytes_ < kBodyProgressBytes) return;
  body_bytes_ = 0;
  SetLimit(options_.body_timeout);
}

// Asks whether the request may come at all, and goes on to its body.
void HttpSession::OnHead() {
  const HttpHead& head = reader_->head();
  keep_alive_ = head.keep_alive;
  HttpAdmission admission = handlers_.admit(MakeRequest());
  if (admission.refusal) {
    const bool readable =
        !head.chunked && !head.expects_continue && head.content_length <= kReadThroughBytes;
    if (!readable) {
      SetPhase(Phase::kExchange);
      keep_alive_ = false;
      read_whole_ = false;
      return Respond(*std::move(admission.refusal));
    }
    refusal_ = std::move(admission.refusal);
  }
  SetPhase(Phase::kBody);
  body_bytes_ = 0;
  SetLimit(options_.body_timeout);
  if (reader_->Accept(admission.max_body_bytes) == HttpRequestReader::Stage::kBody &&
      head.expects_continue) {
    Write(std::string(kContinue), [](bool) {});
  }
}

void HttpSession::BeginExchange() {
  SetPhase(Phase::kExchange);
  ClearLimit();
  if (refusal_) return Respond(*std::exchange(refusal_, std::nullopt));
  HttpExchange exchange = MakeExchange();
  Watch();
  handlers_.handle(std::move(exchange));
}

// Answers what is no request, or one that does not come whole, and closes.
void HttpSession::Refuse(const HttpFault& fault) {
  SetPhase(Phase::kExchange);
  keep_alive_ = false;
  read_whole_ = false;
  HttpResponse answer = handlers_.refuse(fault.code, fault.message);
  answer.code = fault.code;
  Respond(std::move(answer));
}

// Looks now and then, while the answer is made, whether the client is still there. Nothing is read
// meanwhile, so that what a client sends too early waits in its own machine.
void HttpSession::Watch() {
  watch_.expires_after(kLookInterval);
  watch_.async_wait(Guarded([](HttpSession& self, ErrorCode error) {
    if (error || self.phase_ != Phase::kExchange) return;
    self.LookAtClient();
    if (self.phase_ == Phase::kExchange) self.Watch();
  }));
}

void HttpSession::LookAtClient() {
  const int state = TcpState(stream_);
  if (state == TCP_CLOSE) return Gone();
  if (state != TCP_CLOSE_WAIT) return;
  const int probes_due = looks_after_end_++ - kLooksBeforeProbe;
  if (probes_due >= 0 && probes_due % kLooksBetweenProbes == 0) Probe();
}

// The client sends no more. One that has closed the connection looks just like one that has only
// finished its request and reads on, until something is sent to it: the machine of the former
// refuses that.
void HttpSession::Probe() {
  if (reader_->head().version < 11 || !writes_.empty()) return;
  Write(begun_answer_ ? FormatChunk(":\n\n") : std::string(kContinue), [](bool) {});
}

void HttpSession::Write(std::string bytes, std::function<void(bool)> sent) {
  writes_.emplace_back(std::move(bytes), std::move(sent));
  if (writes_.size() == 1) WriteNext();
}

void HttpSession::WriteNext() {
  if (phase_ == Phase::kExchange) SetLimit(options_.write_timeout);
  asio::async_write(
      stream_, asio::buffer(writes_.front().first),
      Guarded([](HttpSession& self, ErrorCode error, size_t) { self.OnWritten(error); }));
}

void HttpSession::OnWritten(ErrorCode error) {
  if (error) return Gone();
  if (phase_ == Phase::kExchange) ClearLimit();
  const auto sent = std::move(writes_.front().second);
  writes_.pop_front();
  if (!writes_.empty()) WriteNext();
  sent(true);
}

void HttpSession::EndExchange() {
  on_gone_ = nullptr;
  watch_.cancel();
  if (const auto ended = std::exchange(on_ended_, nullptr)) ended();
  if (!keep_alive_) return Finish();
  NextRequest(options_.idle_timeout);
}

void HttpSession::Finish() {
  SetPhase(Phase::kWaiting);
  SetLimit(kLingerTime);
  reader_.reset();
  if (stream_.is_encrypted() && read_whole_) {
    return stream_.async_shutdown(Guarded([](HttpSession& self, ErrorCode) { self.Gone(); }));
  }
  ErrorCode ignored;
  if (!stream_.is_encrypted()) stream_.tcp().shutdown(HttpStream::Socket::shutdown_send, ignored);
  Discard();
}

// Reads on: a connection that is closed while bytes come is reset, and the client may lose the
// answer that it has not read yet.
void HttpSession::Discard() {
  if (!reading_) ReadMore();
}

void HttpSession::Gone() {
  if (phase_ == Phase::kGone) return;
  SetPhase(Phase::kGone);
  limit_.cancel();
  watch_.cancel();
  ErrorCode ignored;
  stream_.tcp().shutdown(HttpStream::Socket::shutdown_both, ignored);
  stream_.tcp().close(ignored);
  // What is on its way stays: the operation that carries it ends later.
  std::vector<std::function<void(bool)>> unsent;
  for (auto& [bytes, sent] : writes_) unsent.push_back(std::move(sent));
  const auto gone = std::exchange(on_gone_, nullptr);
  const auto ended = std::exchange(on_ended_, nullptr);
  for (const auto& sent : unsent) sent(false);
  if (gone) gone();
  if (ended) ended();
}

}  // namespace sdar
