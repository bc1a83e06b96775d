// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/http_server.h"

#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/address.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/strand.hpp"
#include "common/status_macros.h"
#include "runtime/server/http/http_session.h"
#include "runtime/server/http/tls_context.h"

namespace sdar {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

// After an accept that failed, for want of file descriptors for example, and while there are as
// many connections as there may be.
constexpr std::chrono::milliseconds kAcceptPause{100};

}  // namespace

class HttpServer::Listener {
 public:
  Listener(const HttpServerOptions& options, HttpHandler handler)
      : options_(options),
        handler_(std::move(handler)),
        acceptor_(asio::make_strand(context_)),
        pause_(acceptor_.get_executor()) {}
  ~Listener() {
    asio::post(acceptor_.get_executor(), [this] {
      ErrorCode ignored;
      acceptor_.close(ignored);
      pause_.cancel();
    });
    {
      absl::MutexLock lock(&mutex_);
      closing_ = true;
      for (const auto& [number, session] : sessions_) {
        if (const auto open = session.lock()) open->Close();
      }
    }
    work_.reset();  // the threads end with the last operation
    for (std::thread& thread : threads_) thread.join();
  }

  absl::StatusOr<int> Listen() {
    if (options_.tls.enabled()) {
      SDAR_ASSIGN_OR_RETURN(tls_, TlsContext::Create(options_.tls));
    }
    ErrorCode error;
    const tcp::endpoint endpoint(asio::ip::make_address(options_.host, error),
                                 static_cast<uint16_t>(options_.port));
    if (!error) acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
      return absl::UnavailableError(absl::StrCat("HTTP: cannot listen on ", options_.host, ":",
                                                 options_.port, ": ", error.message()));
    }
    const int port = acceptor_.local_endpoint().port();
    Accept();
    for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { context_.run(); });
    return port;
  }

 private:
  // What follows runs on the acceptor's strand, as its closing does.
  void AcceptNext() {
    if (!acceptor_.is_open()) return;
    IsFull() ? AcceptLater() : Accept();
  }

  void Accept() {
    acceptor_.async_accept(
        asio::make_strand(context_), [this](ErrorCode error, tcp::socket socket) {
          if (error == asio::error::operation_aborted) return;
          if (error) return AcceptLater();
          ErrorCode ignored;
          socket.set_option(tcp::no_delay(true), ignored);
          auto tls = tls_ == nullptr ? nullptr : tls_->Current();
          auto session =
              std::make_shared<HttpSession>(std::move(socket), std::move(tls), options_, handler_);
          if (Remember(session)) session->Start();
          AcceptNext();
        });
  }

  void AcceptLater() {
    pause_.expires_after(kAcceptPause);
    pause_.async_wait([this](ErrorCode error) {
      if (!error) AcceptNext();
    });
  }

  bool IsFull() {
    absl::MutexLock lock(&mutex_);
    ForgetEnded();
    return sessions_.size() >= static_cast<size_t>(options_.max_connections);
  }

  void ForgetEnded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (auto it = sessions_.begin(); it != sessions_.end();) {
      it = it->second.expired() ? sessions_.erase(it) : std::next(it);
    }
  }

  // False when the server is closing.
  bool Remember(const std::shared_ptr<HttpSession>& session) {
    absl::MutexLock lock(&mutex_);
    if (closing_) return false;
    sessions_[next_session_++] = session;
    return true;
  }

  const HttpServerOptions options_;
  const HttpHandler handler_;
  std::unique_ptr<TlsContext> tls_;  // null without
  asio::io_context context_;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_{
      asio::make_work_guard(context_)};
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  std::vector<std::thread> threads_;
  absl::Mutex mutex_;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_session_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, std::weak_ptr<HttpSession>> sessions_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpServerOptions& options,
                                                              HttpHandler handler) {
  auto server = std::unique_ptr<HttpServer>(new HttpServer());
  server->listener_ = std::make_unique<Listener>(options, std::move(handler));
  auto port = server->listener_->Listen();
  if (!port.ok()) return port.status();
  server->address_ = absl::StrCat(options.host, ":", *port);
  return server;
}

HttpServer::~HttpServer() = default;

}  // namespace sdar
