// SPDX-License-Identifier: Apache-2.0
// Loaded into mpirun before the C library (LD_PRELOAD) when a job runs on one host. Sockets that
// would listen on every address of the host listen on loopback instead. Open MPI 4.1 has no setting
// for that.
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

constexpr char kPreload[] = "LD_PRELOAD";

// Removes this library from the variable, because the ranks that mpirun starts must be free to
// listen on other addresses. Libraries that follow it in the variable stay there.
__attribute__((constructor)) void LeaveTheEnvironment() {
  const char* libraries = std::getenv(kPreload);
  const char* rest = libraries == nullptr ? nullptr : std::strchr(libraries, ':');
  if (rest != nullptr)
    setenv(kPreload, rest + 1, 1);
  else
    unsetenv(kPreload);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int bind(int socket, const sockaddr* address,
                                                           socklen_t length) noexcept {
  sockaddr_storage own = {};
  if (address != nullptr && length <= sizeof(own)) {
    std::memcpy(&own, address, length);
    auto& v4 = reinterpret_cast<sockaddr_in&>(own);
    auto& v6 = reinterpret_cast<sockaddr_in6&>(own);
    if (own.ss_family == AF_INET && v4.sin_addr.s_addr == htonl(INADDR_ANY)) {
      v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      address = reinterpret_cast<const sockaddr*>(&own);
    } else if (own.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr)) {
      v6.sin6_addr = in6addr_loopback;
      address = reinterpret_cast<const sockaddr*>(&own);
    }
  }
  return static_cast<int>(syscall(SYS_bind, socket, address, length));
}
