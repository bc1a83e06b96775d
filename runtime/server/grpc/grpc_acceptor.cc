// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/grpc/grpc_acceptor.h"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/steady_time.h"

namespace sdar {
namespace {

// After an accept that failed.
constexpr int kPauseMs = 100;
// Of one listener, before the others and the order to stop have their turn.
constexpr int kMostAtOnce = 64;
// Between two lines of the log about the same.
constexpr absl::Duration kLogInterval = absl::Minutes(1);

std::vector<int> WithoutBlocking(std::vector<int> listeners) {
  for (const int listener : listeners) {
    fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK);
  }
  return listeners;
}

// What accept says when the process, the system or its memory has no room.
bool IsShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

// Whether a line may be logged now, at most one in kLogInterval.
bool MayLog(SteadyTime& last) {
  const SteadyTime now = SteadyTime::Now();
  if (last != SteadyTime::InfinitePast() && now - last < kLogInterval) return false;
  last = now;
  return true;
}

}  // namespace

GrpcAcceptor::GrpcAcceptor(ListeningSockets sockets, std::unique_ptr<Connections> connections,
                           int max_descriptors)
    : listeners_(WithoutBlocking(sockets.Release())),
      connections_(std::move(connections)),
      max_descriptors_(max_descriptors),
      stop_(eventfd(0, EFD_CLOEXEC)),
      thread_([this] { Loop(); }) {}

GrpcAcceptor::~GrpcAcceptor() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(stop_, &one, sizeof(one));
  thread_.join();
  for (const int listener : listeners_) close(listener);
  close(stop_);
}

void GrpcAcceptor::Loop() {
  std::vector<pollfd> events = {{stop_, POLLIN, 0}};
  for (const int listener : listeners_) events.push_back({listener, POLLIN, 0});
  SteadyTime last_refusal = SteadyTime::InfinitePast();
  SteadyTime last_failure = SteadyTime::InfinitePast();
  int64_t refused = 0;
  bool pausing = false;
  while (true) {
    // During a pause only the order to stop is waited for.
    poll(events.data(), pausing ? 1 : events.size(), pausing ? kPauseMs : -1);
    if (events[0].revents != 0) return;
    int error = 0;
    for (const int listener : listeners_) error = std::max(error, AcceptSome(listener));
    pausing = error != 0;
    if (pausing) {
      ++num_failures_;
      if (MayLog(last_failure)) {
        spdlog::error("gRPC: no connection can be accepted for now: {}",
                      std::error_code(error, std::generic_category()).message());
      }
    }
    if (num_refused_ != refused && MayLog(last_refusal)) {
      refused = num_refused_;
      spdlog::warn("gRPC: {} connections were refused so far: {} descriptors are in use", refused,
                   max_descriptors_);
    }
  }
}

int GrpcAcceptor::AcceptSome(int listener) {
  for (int i = 0; i < kMostAtOnce; ++i) {
    const int connection = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection >= 0) {
      Accept(listener, connection);
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    if (IsShortage(errno)) return errno;
    // Any other error is that of one connection, which is gone.
  }
  return 0;
}

void GrpcAcceptor::Accept(int listener, int connection) {
  if (connection >= max_descriptors_) {
    close(connection);
    ++num_refused_;
    return;
  }
  // gRPC logs an error for each connection that ended before it was accepted.
  sockaddr_storage peer = {};
  socklen_t size = sizeof(peer);
  if (getpeername(connection, reinterpret_cast<sockaddr*>(&peer), &size) != 0) {
    close(connection);
    return;
  }
  const int on = 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  Connections::NewConnectionParameters parameters;
  parameters.listener_fd = listener;
  parameters.fd = connection;
  connections_->HandleNewConnection(&parameters);
}

}  // namespace sdar
