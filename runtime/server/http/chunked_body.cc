// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/chunked_body.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace sdar {
namespace {

// Of a chunk's size: enough for every size_t.
constexpr size_t kMaxSizeDigits = 16;

HttpFault Malformed() { return {400, "the body's chunks are malformed"}; }

int DigitOf(char byte) {
  if ('0' <= byte && byte <= '9') return byte - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(byte));
  return 'a' <= lower && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::optional<HttpFault> ChunkedBody::Take(absl::string_view& input, std::string& body) {
  while (!input.empty() && !done()) {
    if (state_ != State::kData) {
      if (auto fault = TakeByte(input.front())) return fault;
      input.remove_prefix(1);
      continue;
    }
    const size_t count = std::min(chunk_left_, input.size());
    body.append(input.data(), count);
    input.remove_prefix(count);
    chunk_left_ -= count;
    if (chunk_left_ == 0) state_ = State::kDataCr;
  }
  return std::nullopt;
}

std::optional<HttpFault> ChunkedBody::TakeByte(char byte) {
  switch (state_) {
    case State::kSize:
      return TakeSize(byte);
    case State::kExtension:
      if (byte == '\r') {
        state_ = State::kSizeEnd;
        return std::nullopt;
      }
      return CountOverhead(byte);
    case State::kSizeEnd:
      return Expect(byte, '\n', chunk_left_ > 0 ? State::kData : State::kTrailer);
    case State::kDataCr:
      return Expect(byte, '\r', State::kDataLf);
    case State::kDataLf:
      size_digits_ = 0;
      return Expect(byte, '\n', State::kSize);
    default:
      return TakeTrailer(byte);
  }
}

std::optional<HttpFault> ChunkedBody::TakeSize(char byte) {
  const int digit = DigitOf(byte);
  if (digit >= 0) {
    if (++size_digits_ > kMaxSizeDigits) return Malformed();
    chunk_left_ = chunk_left_ * 16 + static_cast<size_t>(digit);
    return std::nullopt;
  }
  if (size_digits_ == 0) return Malformed();
  if (chunk_left_ > max_body_bytes_ - body_bytes_) {
    return HttpFault{413, absl::StrCat("the body: expected at most ", max_body_bytes_, " bytes")};
  }
  body_bytes_ += chunk_left_;
  if (byte == '\r') {
    state_ = State::kSizeEnd;
  } else if (byte == ';' || byte == ' ' || byte == '\t') {
    state_ = State::kExtension;
  } else {
    return Malformed();
  }
  return std::nullopt;
}

std::optional<HttpFault> ChunkedBody::TakeTrailer(char byte) {
  switch (state_) {
    case State::kTrailer:
      if (byte == '\r') {
        state_ = State::kLastLf;
        return std::nullopt;
      }
      state_ = State::kTrailerLine;
      return CountOverhead(byte);
    case State::kTrailerLine:
      if (byte == '\r') state_ = State::kTrailerLf;
      return CountOverhead(byte);
    case State::kTrailerLf:
      return Expect(byte, '\n', State::kTrailer);
    default:
      return Expect(byte, '\n', State::kDone);
  }
}

// A line feed alone would end the line for some servers and not for others.
std::optional<HttpFault> ChunkedBody::CountOverhead(char byte) {
  if (byte == '\n' || IsForeignToHttp(byte)) return Malformed();
  if (++overhead_bytes_ <= max_overhead_bytes_) return std::nullopt;
  return HttpFault{431, absl::StrCat("chunk extensions and trailers: expected at most ",
                                     max_overhead_bytes_, " bytes")};
}

std::optional<HttpFault> ChunkedBody::Expect(char byte, char expected, State next) {
  if (byte != expected) return Malformed();
  state_ = next;
  return std::nullopt;
}

}  // namespace sdar
