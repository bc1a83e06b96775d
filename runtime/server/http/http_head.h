// SPDX-License-Identifier: Apache-2.0
// The head of an HTTP request: its request line and fields, checked as RFC 9112 asks of a server.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace sdar {

// What a server has to know of a head before it reads the body.
struct HttpHead {
  std::string method;  // "GET"
  std::string path;    // without the query and without a trailing slash; "*" of OPTIONS
  std::string host;    // of the Host field or an absolute target, with the port; HTTP/1.0: or empty
  unsigned version = 11;
  bool keep_alive = false;
  bool expects_continue = false;  // 100-continue
  bool chunked = false;
  uint64_t content_length = 0;  // of a body that is not chunked
  // Values of fields; empty where absent.
  std::string authorization;
  std::string content_encoding;
  std::string origin;
  std::string request_headers;  // Access-Control-Request-Headers
  std::string request_id;       // X-Request-Id
  std::string traceparent;

  bool has_body() const { return chunked || content_length > 0; }
};

// Why a request cannot be taken: an HTTP status code, and a sentence. The connection has to end.
struct HttpFault {
  int code = 400;
  std::string message;
};

// Reads a head, the empty line at its end included. Refuses what two servers in a row could frame
// differently (RFC 9112, 6.1 and 6.3): a Transfer-Encoding other than chunked, twice, with
// Content-Length or in HTTP/1.0; several lengths; folded lines; no Host or several. Pure; any
// thread.
std::optional<HttpFault> ParseHttpHead(absl::string_view text, HttpHead& head);

// Whether a byte cannot be part of a head: a control character other than a tab, CR or LF.
bool IsForeignToHttp(char byte);

}  // namespace sdar
