// SPDX-License-Identifier: Apache-2.0
// UTF-8 as this room needs it: code points in and out, and replacement of what is not UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace sdar {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

// One step of reading UTF-8.
struct Utf8Step {
  char32_t code_point = kReplacementCharacter;  // meaningful when valid
  size_t length = 1;                            // bytes consumed; at least 1
  bool valid = false;
  bool truncated = false;  // invalid only because the text ends inside a sequence
};

// Reads the sequence that begins text[position]. An invalid one consumes its maximal subpart (the
// Unicode Standard, section 3.9), which is what Python's errors="replace" counts as one error.
// Requires: position < text.size().
Utf8Step ReadUtf8(absl::string_view text, size_t position);

// Appends `code_point`, which must be a Unicode scalar value.
void AppendUtf8(char32_t code_point, std::string& out);

// The text with every maximal invalid subpart replaced by U+FFFD.
std::string ReplaceInvalidUtf8(absl::string_view text);

// Whether every sequence is valid.
bool IsValidUtf8(absl::string_view text);

// Bytes at the end of `text` (0 to 3) that begin a sequence which more bytes could complete.
size_t TruncatedTailLength(absl::string_view text);

// White space as Python's str.isspace() and the regular expression \s see it.
bool IsPythonSpace(char32_t code_point);

}  // namespace sdar
