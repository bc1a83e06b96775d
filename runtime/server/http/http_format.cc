// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/http_format.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "boost/beast/http/status.hpp"

namespace sdar {
namespace {

// What nginx calls a request whose client has gone; no standard has it.
constexpr int kClientGone = 499;

std::string ReasonOf(int code) {
  if (code == kClientGone) return "Client Closed Request";
  const auto reason =
      boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(code));
  return {reason.data(), reason.size()};
}

}  // namespace

std::string FormatHttpHead(int code, absl::string_view content_type, const HttpFields& fields,
                           const HttpFraming& framing) {
  std::string head = absl::StrCat(
      framing.version < 11 ? "HTTP/1.0 " : "HTTP/1.1 ", code, " ", ReasonOf(code),
      "\r\nServer: sdar\r\nDate: ",
      absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::Now(), absl::UTCTimeZone()), "\r\n");
  if (!content_type.empty()) absl::StrAppend(&head, "Content-Type: ", content_type, "\r\n");
  for (const auto& [name, value] : fields) absl::StrAppend(&head, name, ": ", value, "\r\n");
  if (framing.content_length) {
    absl::StrAppend(&head, "Content-Length: ", *framing.content_length, "\r\n");
  }
  if (framing.chunked) absl::StrAppend(&head, "Transfer-Encoding: chunked\r\n");
  if (!framing.keep_alive) {
    absl::StrAppend(&head, "Connection: close\r\n");
  } else if (framing.version < 11) {
    absl::StrAppend(&head, "Connection: keep-alive\r\n");
  }
  return head + "\r\n";
}

std::string FormatChunk(absl::string_view data) {
  return absl::StrCat(absl::Hex(data.size()), "\r\n", data, "\r\n");
}

}  // namespace sdar
