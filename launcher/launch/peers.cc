// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/peers.h"

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include <fcntl.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/status_macros.h"
#include "common/steady_time.h"

namespace sdar {
namespace {

constexpr absl::Duration kProbeTimeout = absl::Seconds(3);
constexpr absl::Duration kRoundInterval = absl::Seconds(1);
constexpr absl::Duration kLogInterval = absl::Seconds(10);

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

struct FreeInterfaces {
  void operator()(ifaddrs* list) const { freeifaddrs(list); }
};

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

absl::StatusOr<Addresses> Resolve(const std::string& host, int port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), absl::StrCat(port).c_str(), &hints, &found);
  if (error != 0) return absl::UnavailableError(absl::StrCat(host, ": ", gai_strerror(error)));
  return Addresses(found);
}

// The bytes that say which machine it is, without port or scope.
absl::string_view AddressBytes(const sockaddr* address) {
  if (address != nullptr && address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    return {reinterpret_cast<const char*>(&v4->sin_addr), sizeof(v4->sin_addr)};
  }
  if (address != nullptr && address->sa_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
    return {reinterpret_cast<const char*>(&v6->sin6_addr), sizeof(v6->sin6_addr)};
  }
  return "";
}

// Waits for `events`; false after the deadline.
bool Await(int fd, short events, SteadyTime deadline) {
  pollfd entry = {fd, events, 0};
  const int64_t left = absl::ToInt64Milliseconds(deadline - SteadyTime::Now());
  return left > 0 && poll(&entry, 1, static_cast<int>(left)) == 1;
}

absl::Status ProbeAddress(const addrinfo& address, SteadyTime deadline) {
  const Socket socket(
      ::socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (connect(socket.fd(), address.ai_addr, address.ai_addrlen) != 0 && errno != EINPROGRESS) {
    return absl::UnavailableError(std::strerror(errno));
  }
  if (!Await(socket.fd(), POLLOUT, deadline)) return absl::UnavailableError("no answer");
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return absl::UnavailableError(std::strerror(error));
  char greeting[64];
  const ssize_t got =
      Await(socket.fd(), POLLIN, deadline) ? recv(socket.fd(), greeting, sizeof(greeting), 0) : 0;
  if (got >= 4 && absl::StartsWith({greeting, static_cast<size_t>(got)}, "SSH-")) {
    return absl::OkStatus();
  }
  return absl::UnavailableError("connected, but no ssh greets");
}

std::vector<std::string> Names(const std::vector<Host>& hosts) {
  std::vector<std::string> names;
  for (const Host& host : hosts) names.push_back(host.name);
  return names;
}

}  // namespace

bool IsThisMachine(const std::string& host) {
  const absl::StatusOr<Addresses> addresses = Resolve(host, 0);
  ifaddrs* found = nullptr;
  if (!addresses.ok() || getifaddrs(&found) != 0) return false;
  const std::unique_ptr<ifaddrs, FreeInterfaces> interfaces(found);
  for (const addrinfo* address = addresses->get(); address != nullptr; address = address->ai_next) {
    const absl::string_view wanted = AddressBytes(address->ai_addr);
    for (const ifaddrs* own = interfaces.get(); own != nullptr; own = own->ifa_next) {
      if (!wanted.empty() && AddressBytes(own->ifa_addr) == wanted) return true;
    }
  }
  return false;
}

absl::Status ProbeSsh(const std::string& host, int port, absl::Duration timeout) {
  SDAR_ASSIGN_OR_RETURN(const Addresses addresses, Resolve(host, port));
  const SteadyTime deadline = SteadyTime::Now() + timeout;
  absl::Status status = absl::UnavailableError("no address");
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
    status = ProbeAddress(*address, deadline);
    if (status.ok()) return status;
  }
  return absl::UnavailableError(absl::StrCat(host, ":", port, ": ", status.message()));
}

absl::Status AwaitPeers(const std::vector<Host>& hosts, int port, absl::Duration timeout,
                        const std::function<bool(absl::Duration)>& pause) {
  const SteadyTime deadline = SteadyTime::Now() + timeout;
  SteadyTime next_log = SteadyTime::Now();
  std::vector<std::string> missing = Names(hosts);
  while (true) {
    absl::Status first = absl::OkStatus();
    std::vector<std::string> still;
    for (const std::string& host : missing) {
      if (IsThisMachine(host)) continue;
      const absl::Status status = ProbeSsh(host, port, kProbeTimeout);
      if (status.ok()) continue;
      if (still.empty()) first = status;
      still.push_back(host);
    }
    if (still.empty()) return absl::OkStatus();
    missing = std::move(still);
    if (SteadyTime::Now() > deadline) {
      return absl::DeadlineExceededError(absl::StrCat(
          "--peer-timeout: ", missing.size(), " machine(s) cannot be reached: ", first.message()));
    }
    if (SteadyTime::Now() >= next_log) {
      spdlog::info("waiting for {} machine(s): {}", missing.size(), std::string(first.message()));
      next_log = SteadyTime::Now() + kLogInterval;
    }
    if (!pause(kRoundInterval)) return absl::CancelledError("stopped while waiting for machines");
  }
}

}  // namespace sdar
