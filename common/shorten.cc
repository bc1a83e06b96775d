// SPDX-License-Identifier: Apache-2.0
#include "common/shorten.h"

#include "absl/strings/str_cat.h"

namespace sdar {

std::string Shorten(absl::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  constexpr size_t kMaxContinuationBytes = 3;  // of one character
  size_t end = max_bytes;
  for (size_t i = 0; i < kMaxContinuationBytes && end > 0; ++i) {
    if ((static_cast<unsigned char>(text[end]) & 0xC0u) != 0x80u) break;
    --end;
  }
  return absl::StrCat(text.substr(0, end), "...");
}

absl::Status ShortInvalidArgument(absl::string_view message, size_t max_bytes) {
  return absl::InvalidArgumentError(Shorten(message, max_bytes));
}

}  // namespace sdar
