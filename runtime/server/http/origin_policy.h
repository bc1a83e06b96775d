// SPDX-License-Identifier: Apache-2.0
// Which pages in browsers may ask the server, and by which names.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/server/http/http_exchange.h"

namespace sdar {

// A browser lets any page send a POST to any address; an Origin field then says which page it was.
// It also takes any name that resolves to an address for that address's own, so that a page can
// read the answers of a server on its user's machine (DNS rebinding); the Host field gives it
// away. Immutable.
class OriginPolicy {
 public:
  // allowed: origins as "https://chat.example.org", by commas; "*" for all. local_only: nobody but
  // this machine can connect, so that only local names can be meant. hosts: further names that are
  // right then. InvalidArgument names the part that is no origin.
  static absl::StatusOr<OriginPolicy> Create(absl::string_view allowed, bool local_only,
                                             const std::vector<std::string>& hosts);

  // PermissionDenied for a page or a name that may not ask. What does not come from a page has no
  // origin and may.
  absl::Status Check(const HttpRequest& request) const;
  // The fields that let the page of an allowed origin read an answer; none for other requests.
  std::vector<std::pair<std::string, std::string>> AnswerFields(const HttpRequest& request) const;
  // Further fields of the answer to a browser that asks before it sends a request.
  std::vector<std::pair<std::string, std::string>> PreflightFields(
      const HttpRequest& request, const std::string& methods) const;

 private:
  bool IsAllowed(absl::string_view origin) const;

  bool all_ = false;
  bool local_only_ = false;
  std::vector<std::string> origins_;  // in lower case
  std::vector<std::string> hosts_;    // likewise
};

}  // namespace sdar
