// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/http_server.h"

#include <deque>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/strand.hpp"
#include "common/log.h"
#include "common/status_macros.h"
#include "runtime/server/http/http_session.h"
#include "runtime/server/http/tls_context.h"

namespace sdar {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

// After an accept that failed, for want of file descriptors for example, and while all connections
// that there may be have a request.
constexpr std::chrono::milliseconds kAcceptPause{100};

}  // namespace

class HttpServer::Listener {
 public:
  Listener(const HttpServerOptions& options, HttpHandlers handlers)
      : options_(options), handlers_(std::move(handlers)), budget_(options.body_bytes) {}
  ~Listener() {
    for (Acceptor& acceptor : acceptors_) {
      asio::post(acceptor.socket.get_executor(), [&acceptor] {
        ErrorCode ignored;
        acceptor.socket.close(ignored);
        acceptor.pause.cancel();
      });
    }
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

  absl::Status Listen(ListeningSockets sockets) {
    if (options_.certificates != nullptr) {
      SDAR_ASSIGN_OR_RETURN(tls_, TlsContext::Create(options_.certificates));
    }
    const std::vector<std::string> ips = sockets.ips();
    const std::vector<int> descriptors = sockets.Release();
    for (size_t i = 0; i < descriptors.size(); ++i) {
      const auto protocol = ips[i].find(':') == std::string::npos ? tcp::v4() : tcp::v6();
      acceptors_.emplace_back(context_).socket.assign(protocol, descriptors[i]);
    }
    for (Acceptor& acceptor : acceptors_) Accept(acceptor);
    for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { Run(); });
    return absl::OkStatus();
  }

 private:
  // Both on a strand of their own.
  struct Acceptor {
    explicit Acceptor(asio::io_context& context)
        : socket(asio::make_strand(context)), pause(socket.get_executor()) {}
    tcp::acceptor socket;
    asio::steady_timer pause;
  };

  // What a connection throws it catches itself; this is for what lies between them.
  void Run() {
    while (true) {
      try {
        context_.run();
        return;
      } catch (const std::exception& thrown) {
        spdlog::error("HTTP: {}", thrown.what());
      }
    }
  }

  // What follows runs on the acceptor's strand, as its closing does.
  void AcceptNext(Acceptor& acceptor) {
    if (!acceptor.socket.is_open()) return;
    MakeRoom() ? Accept(acceptor) : AcceptLater(acceptor);
  }

  void Accept(Acceptor& acceptor) {
    acceptor.socket.async_accept(
        asio::make_strand(context_), [this, &acceptor](ErrorCode error, tcp::socket socket) {
          if (error == asio::error::operation_aborted) return;
          if (error) return AcceptLater(acceptor);
          try {
            Begin(std::move(socket));
          } catch (const std::exception& thrown) {
            spdlog::error("HTTP: a connection is refused: {}", thrown.what());
          }
          AcceptNext(acceptor);
        });
  }

  void Begin(tcp::socket socket) {
    ErrorCode ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    auto tls = tls_ == nullptr ? nullptr : tls_->Current();
    auto session = std::make_shared<HttpSession>(std::move(socket), std::move(tls), options_,
                                                 handlers_, budget_);
    if (Remember(session)) session->Start();
  }

  void AcceptLater(Acceptor& acceptor) {
    acceptor.pause.expires_after(kAcceptPause);
    acceptor.pause.async_wait([this, &acceptor](ErrorCode error) {
      if (!error) AcceptNext(acceptor);
    });
  }

  // True where one more connection may come: the one that has waited longest without a request is
  // closed for it where there are as many as there may be.
  bool MakeRoom() {
    absl::MutexLock lock(&mutex_);
    ForgetEnded();
    if (sessions_.size() < static_cast<size_t>(options_.max_connections)) return true;
    std::shared_ptr<HttpSession> longest;
    int64_t since = 0;
    for (const auto& [number, weak] : sessions_) {
      auto session = weak.lock();
      const int64_t waiting_since = session == nullptr ? 0 : session->waiting_since_ns();
      if (waiting_since == 0 || (longest != nullptr && waiting_since >= since)) continue;
      since = waiting_since;
      longest = std::move(session);
    }
    if (longest == nullptr) return false;
    longest->CloseIfWaiting();
    return true;
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
  const HttpHandlers handlers_;
  BodyBudget budget_;
  std::unique_ptr<TlsContext> tls_;  // null without
  asio::io_context context_;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_{
      asio::make_work_guard(context_)};
  std::deque<Acceptor> acceptors_;
  std::vector<std::thread> threads_;
  absl::Mutex mutex_;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_session_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, std::weak_ptr<HttpSession>> sessions_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(ListeningSockets sockets,
                                                              const HttpServerOptions& options,
                                                              HttpHandlers handlers) {
  auto server = std::unique_ptr<HttpServer>(new HttpServer());
  server->address_ = sockets.Text();
  server->listener_ = std::make_unique<Listener>(options, std::move(handlers));
  SDAR_RETURN_IF_ERROR(server->listener_->Listen(std::move(sockets)));
  return server;
}

HttpServer::~HttpServer() = default;

}  // namespace sdar
