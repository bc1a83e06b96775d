// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/origin_policy.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "runtime/server/listening_socket.h"

namespace sdar {
namespace {

// "host" of "host:port", in lower case and without brackets.
std::string NameOf(absl::string_view authority) {
  const size_t end = authority.find(']');
  if (absl::StartsWith(authority, "[") && end != absl::string_view::npos) {
    authority = authority.substr(1, end - 1);
  } else {
    authority = authority.substr(0, authority.find(':'));
  }
  return absl::AsciiStrToLower(authority);
}

// "host:port" of an origin; empty for another text, "null" included.
absl::string_view AuthorityOf(absl::string_view origin) {
  if (!absl::ConsumePrefix(&origin, "http://") && !absl::ConsumePrefix(&origin, "https://")) {
    return "";
  }
  return origin;
}

bool IsLocalName(absl::string_view name) {
  return name == "localhost" || absl::EndsWith(name, ".localhost") || IsLoopback(name);
}

bool Contains(const std::vector<std::string>& list, absl::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

}  // namespace

absl::StatusOr<OriginPolicy> OriginPolicy::Create(absl::string_view allowed, bool local_only,
                                                  const std::vector<std::string>& hosts) {
  OriginPolicy policy;
  policy.local_only_ = local_only;
  for (const std::string& host : hosts) policy.hosts_.push_back(absl::AsciiStrToLower(host));
  for (absl::string_view part : absl::StrSplit(allowed, ',', absl::SkipWhitespace())) {
    const std::string origin =
        absl::AsciiStrToLower(absl::StripSuffix(absl::StripAsciiWhitespace(part), "/"));
    if (origin == "*") {
      policy.all_ = true;
      continue;
    }
    const absl::string_view authority = AuthorityOf(origin);
    if (authority.empty() || authority.find_first_of("/?#@ ") != absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--allowed-origins: expected origins as https://chat.example.org, or *, got '",
          origin.substr(0, 80), "'"));
    }
    policy.hosts_.push_back(NameOf(authority));
    policy.origins_.push_back(origin);
  }
  return policy;
}

bool OriginPolicy::IsAllowed(absl::string_view origin) const {
  return !origin.empty() && (all_ || Contains(origins_, absl::AsciiStrToLower(origin)));
}

absl::Status OriginPolicy::Check(const HttpRequest& request) const {
  if (all_) return absl::OkStatus();
  const std::string name = NameOf(request.host);
  if (local_only_ && !name.empty() && !IsLocalName(name) && !Contains(hosts_, name)) {
    return absl::PermissionDeniedError(
        absl::StrCat("Host: '", name.substr(0, 80),
                     "' is no name of this machine, and the server listens on this machine only "
                     "(--allowed-origins adds names)"));
  }
  if (request.origin.empty() || IsAllowed(request.origin)) return absl::OkStatus();
  if (!local_only_ && origins_.empty()) return absl::OkStatus();
  const absl::string_view authority = AuthorityOf(request.origin);
  if (!authority.empty() && absl::EqualsIgnoreCase(authority, request.host)) {
    return absl::OkStatus();  // the server's own page
  }
  return absl::PermissionDeniedError(
      absl::StrCat("Origin: '", request.origin.substr(0, 80),
                   "' is not one whose pages may ask (--allowed-origins)"));
}

std::vector<std::pair<std::string, std::string>> OriginPolicy::AnswerFields(
    const HttpRequest& request) const {
  if (!IsAllowed(request.origin)) return {};
  return {{"Access-Control-Allow-Origin", request.origin},
          {"Access-Control-Expose-Headers", "X-Request-Id, Retry-After"},
          {"Vary", "Origin"}};
}

std::vector<std::pair<std::string, std::string>> OriginPolicy::PreflightFields(
    const HttpRequest& request, const std::string& methods) const {
  if (!IsAllowed(request.origin)) return {};
  std::vector<std::pair<std::string, std::string>> fields = {
      {"Access-Control-Allow-Methods", methods}, {"Access-Control-Max-Age", "600"}};
  if (!request.request_headers.empty()) {
    fields.emplace_back("Access-Control-Allow-Headers", request.request_headers);
  }
  return fields;
}

}  // namespace sdar
