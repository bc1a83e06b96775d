// SPDX-License-Identifier: Apache-2.0
// The addresses that a server listens on, taken before it serves.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sdar {

// HOST:PORT, with an IPv6 address in brackets.
std::string AddressText(absl::string_view ip, int port);

// Whether a text is a numeric address that only this machine can reach.
bool IsLoopback(absl::string_view ip);

// The numeric addresses that `hosts` means: addresses and names, separated by commas; IPv6 may
// stand in brackets; "::" stands for IPv4 as well and alone. InvalidArgument names the part that is
// none. Blocks while names are resolved.
absl::StatusOr<std::vector<std::string>> ResolveHosts(absl::string_view hosts);

// Owns sockets that listen on one port of several addresses.
class ListeningSockets {
 public:
  // port 0: a free one, the same on every address. An address that this machine has not is left
  // out while another is there, since names have addresses of both families. FailedPrecondition
  // names the first address that cannot be had, with `what` it is for.
  static absl::StatusOr<ListeningSockets> Open(absl::string_view what,
                                               const std::vector<std::string>& ips, int port);
  ~ListeningSockets() { Close(); }
  ListeningSockets(ListeningSockets&& other) noexcept;
  ListeningSockets& operator=(ListeningSockets&& other) noexcept;

  // Closes what is still owned.
  void Close();
  // The descriptors, by address; the caller owns them from now on.
  std::vector<int> Release();

  const std::vector<std::string>& ips() const { return ips_; }
  int port() const { return port_; }
  // HOST:PORT of the first address.
  std::string Text() const { return AddressText(ips_.front(), port_); }

 private:
  ListeningSockets() = default;

  std::vector<std::string> ips_;
  std::vector<int> descriptors_;
  int port_ = 0;
};

}  // namespace sdar
