// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/grpc/connection_end.h"

#include <filesystem>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/steady_time.h"

namespace sdar {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(2);

// Of this end of a connection; -1 for what is no connection.
int LocalPort(int descriptor) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  if (getpeername(descriptor, name, &size) != 0) return -1;
  size = sizeof(address);
  if (getsockname(descriptor, name, &size) != 0) return -1;
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);
  if (address.ss_family != AF_INET6) return -1;
  return ntohs(reinterpret_cast<sockaddr_in6&>(address).sin6_port);
}

// Works on a copy of the descriptor: gRPC may close its own, and another thread open a file under
// the same number, at any moment.
bool StopReading(int descriptor, int port) {
  const int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return false;
  const bool is_ours = LocalPort(copy) == port;
  if (is_ours) shutdown(copy, SHUT_RD);
  close(copy);
  return is_ours;
}

// Returns how many there are.
int StopReadingAll(int port) {
  int count = 0;
  std::error_code error;
  std::filesystem::directory_iterator files("/proc/self/fd", error);
  for (; !error && files != std::filesystem::directory_iterator(); files.increment(error)) {
    int descriptor = -1;
    if (!absl::SimpleAtoi(files->path().filename().string(), &descriptor)) continue;
    if (StopReading(descriptor, port)) ++count;
  }
  return count;
}

}  // namespace

bool EndConnections(int port, absl::Duration timeout) {
  const SteadyTime deadline = SteadyTime::Now() + timeout;
  while (StopReadingAll(port) > 0) {
    if (SteadyTime::Now() > deadline) return false;
    absl::SleepFor(kInterval);
  }
  return true;
}

}  // namespace sdar
