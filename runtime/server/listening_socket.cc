// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/listening_socket.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/status_macros.h"

namespace sdar {
namespace {

// Tries to find one port that is free on several addresses.
constexpr int kPortTries = 16;

using AddressList = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

absl::StatusOr<AddressList> Resolve(const std::string& host, const std::string& port, int flags) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | flags;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (error != 0 || found == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("--host: '", host.substr(0, 80),
                     "' is no address or name of this machine: ", gai_strerror(error)));
  }
  return AddressList(found, &freeaddrinfo);
}

std::string NumericText(const addrinfo& address) {
  char text[NI_MAXHOST] = {};
  getnameinfo(address.ai_addr, address.ai_addrlen, text, sizeof(text), nullptr, 0, NI_NUMERICHOST);
  return text;
}

int PortOf(int descriptor) {
  sockaddr_storage bound = {};
  socklen_t size = sizeof(bound);
  getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound), &size);
  const in_port_t port = bound.ss_family == AF_INET6
                             ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                             : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port;
  return ntohs(port);
}

// A socket that listens; -1 with errno set.
int Listen(const addrinfo& address) {
  const int descriptor = socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  const int on = 1;
  const int off = 0;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (address.ai_family == AF_INET6) {
    setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  }
  if (bind(descriptor, address.ai_addr, address.ai_addrlen) == 0 &&
      listen(descriptor, SOMAXCONN) == 0) {
    return descriptor;
  }
  const int error = errno;
  close(descriptor);
  errno = error;
  return -1;
}

absl::StatusOr<int> ListenOn(const std::string& ip, int port) {
  SDAR_ASSIGN_OR_RETURN(const AddressList address,
                        Resolve(ip, absl::StrCat(port), AI_NUMERICHOST | AI_NUMERICSERV));
  return Listen(*address);
}

bool IsNotOurs(int error) { return error == EADDRNOTAVAIL || error == EAFNOSUPPORT; }

}  // namespace

std::string AddressText(absl::string_view ip, int port) {
  return absl::StrContains(ip, ':') ? absl::StrCat("[", ip, "]:", port)
                                    : absl::StrCat(ip, ":", port);
}

bool IsLoopback(absl::string_view ip) {
  const std::string text(ip);
  in_addr v4 = {};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
  in6_addr v6 = {};
  if (inet_pton(AF_INET6, text.c_str(), &v6) != 1) return false;
  const bool mapped = IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == IN_LOOPBACKNET;
  return IN6_IS_ADDR_LOOPBACK(&v6) || mapped;
}

absl::StatusOr<std::vector<std::string>> ResolveHosts(absl::string_view hosts) {
  std::vector<std::string> ips;
  for (absl::string_view part : absl::StrSplit(hosts, ',')) {
    part = absl::StripAsciiWhitespace(part);
    if (absl::StartsWith(part, "[") && absl::EndsWith(part, "]")) {
      part = part.substr(1, part.size() - 2);
    }
    if (part.empty()) {
      return absl::InvalidArgumentError("--host: expected addresses or names, by commas");
    }
    SDAR_ASSIGN_OR_RETURN(const AddressList found, Resolve(std::string(part), "0", AI_NUMERICSERV));
    for (const addrinfo* address = found.get(); address != nullptr; address = address->ai_next) {
      const std::string ip = NumericText(*address);
      if (std::find(ips.begin(), ips.end(), ip) == ips.end()) ips.push_back(ip);
    }
  }
  if (std::find(ips.begin(), ips.end(), "::") != ips.end()) return std::vector<std::string>{"::"};
  // What clients of a name try first where a machine has both, and what most of them can reach.
  std::stable_sort(ips.begin(), ips.end(), [](const std::string& a, const std::string& b) {
    return !absl::StrContains(a, ':') && absl::StrContains(b, ':');
  });
  return ips;
}

absl::StatusOr<ListeningSockets> ListeningSockets::Open(absl::string_view what,
                                                        const std::vector<std::string>& ips,
                                                        int port) {
  std::string failed;
  int error = 0;
  for (int tries = port == 0 ? kPortTries : 1; tries > 0; --tries) {
    ListeningSockets sockets;
    sockets.port_ = port;
    error = 0;
    for (const std::string& ip : ips) {
      SDAR_ASSIGN_OR_RETURN(const int descriptor, ListenOn(ip, sockets.port_));
      if (descriptor < 0 && IsNotOurs(errno) && ips.size() > 1) continue;
      if (descriptor < 0) {
        error = errno;
        failed = AddressText(ip, sockets.port_);
        break;
      }
      sockets.port_ = PortOf(descriptor);
      sockets.ips_.push_back(ip);
      sockets.descriptors_.push_back(descriptor);
    }
    if (error == 0 && !sockets.ips_.empty()) return sockets;
    if (error != EADDRINUSE) break;
  }
  if (error == 0) error = EADDRNOTAVAIL;
  if (failed.empty()) failed = AddressText(ips.front(), port);
  return absl::FailedPreconditionError(
      absl::StrCat(what, ": cannot listen on ", failed, ": ",
                   std::error_code(error, std::generic_category()).message()));
}

ListeningSockets::ListeningSockets(ListeningSockets&& other) noexcept
    : ips_(std::move(other.ips_)),
      descriptors_(std::exchange(other.descriptors_, {})),
      port_(other.port_) {}

ListeningSockets& ListeningSockets::operator=(ListeningSockets&& other) noexcept {
  if (this == &other) return *this;
  Close();
  ips_ = std::move(other.ips_);
  descriptors_ = std::exchange(other.descriptors_, {});
  port_ = other.port_;
  return *this;
}

void ListeningSockets::Close() {
  for (int descriptor : descriptors_) close(descriptor);
  descriptors_.clear();
}

std::vector<int> ListeningSockets::Release() { return std::exchange(descriptors_, {}); }

}  // namespace sdar
