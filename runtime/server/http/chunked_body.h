// SPDX-License-Identifier: Apache-2.0
// Decodes a body in chunks (RFC 9112, 7.1).
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

#include "runtime/server/http/http_head.h"

namespace sdar {

// One body's decoder. Extensions and trailers are counted and dropped.
class ChunkedBody {
 public:
  // max_overhead_bytes: of extensions and trailers together.
  ChunkedBody(size_t max_body_bytes, size_t max_overhead_bytes)
      : max_body_bytes_(max_body_bytes), max_overhead_bytes_(max_overhead_bytes) {}

  // Takes bytes off `input` and appends to `body` what they carry, until there are no more or the
  // body is done. 400: malformed; 413: longer than it may be; 431: extensions or trailers are.
  std::optional<HttpFault> Take(absl::string_view& input, std::string& body);
  bool done() const { return state_ == State::kDone; }

 private:
  enum class State {
    kSize,
    kExtension,
    kSizeEnd,  // the LF of the size's line
    kData,
    kDataCr,
    kDataLf,
    kTrailer,  // at the beginning of a line
    kTrailerLine,
    kTrailerLf,
    kLastLf,
    kDone
  };

  std::optional<HttpFault> TakeByte(char byte);
  std::optional<HttpFault> TakeSize(char byte);
  std::optional<HttpFault> TakeTrailer(char byte);
  std::optional<HttpFault> CountOverhead(char byte);
  std::optional<HttpFault> Expect(char byte, char expected, State next);

  const size_t max_body_bytes_;
  const size_t max_overhead_bytes_;
  State state_ = State::kSize;
  size_t chunk_left_ = 0;  // of the chunk's data, or its size so far
  size_t body_bytes_ = 0;  // of the chunks announced
  size_t size_digits_ = 0;
  size_t overhead_bytes_ = 0;
};

}  // namespace sdar
