// SPDX-License-Identifier: Apache-2.0
// Answers as bytes of HTTP/1.1. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace sdar {

using HttpFields = std::vector<std::pair<std::string, std::string>>;

// How an answer's end is told.
struct HttpFraming {
  unsigned version = 11;
  bool keep_alive = false;
  bool chunked = false;
  std::optional<size_t> content_length;
};

// The head of an answer, with the date and the empty line at its end. Requires: no name or value of
// `fields` holds a line's end.
std::string FormatHttpHead(int code, absl::string_view content_type, const HttpFields& fields,
                           const HttpFraming& framing);

// A chunk of a chunked body; an empty one is the body's end.
std::string FormatChunk(absl::string_view data);

// What tells a client that its request is still being worked on; every client of HTTP/1.1 has to
// read past it (RFC 9110, 15.2).
inline constexpr absl::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace sdar
