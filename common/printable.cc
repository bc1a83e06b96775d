// SPDX-License-Identifier: Apache-2.0
#include "common/printable.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace sdar {
namespace {

struct Character {
  uint32_t code = 0;
  size_t num_bytes = 0;  // 0: the first byte begins no character of UTF-8
};

// The first character of a text, which is not empty. Overlong forms, surrogates and what is above
// U+10FFFF are none.
Character FirstOf(absl::string_view text) {
  const auto byte = [text](size_t i) {
    return static_cast<uint32_t>(static_cast<uint8_t>(text[i]));
  };
  const uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return {};
  uint32_t code = first & (0x7Fu >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u) return {};
    code = (code << 6u) | (byte(i) & 0x3Fu);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool valid = code >= kLeast[size] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
  return valid ? Character{code, size} : Character{};
}

// Controls and what ends lines or changes the direction of text, outside ASCII.
bool IsHidden(uint32_t code) {
  return (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029 || code == 0x200E ||
         code == 0x200F || code == 0x061C || (code >= 0x202A && code <= 0x202E) ||
         (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;
}

void AppendControl(char c, std::string& out) {
  if (c == '\n') {
    out += "\\n";
  } else if (c == '\r') {
    out += "\\r";
  } else if (c == '\t') {
    out += "\\t";
  } else {
    absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned char>(c));
  }
}

std::string Escape(absl::string_view text, bool is_json) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character next = FirstOf(text);
    if (next.num_bytes == 0) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned char>(text[0]));
    } else if (IsHidden(next.code) && (is_json || next.code >= 0x80)) {
      absl::StrAppendFormat(&out, "\\u%04x", next.code);
    } else if (next.code < 0x20 || next.code == 0x7F) {
      AppendControl(text[0], out);
    } else {
      out.append(text.data(), next.num_bytes);
    }
    text.remove_prefix(next.num_bytes == 0 ? 1 : next.num_bytes);
  }
  return out;
}

}  // namespace

std::string Printable(absl::string_view text) { return Escape(text, /*is_json=*/false); }

std::string PrintableJson(absl::string_view json) { return Escape(json, /*is_json=*/true); }

}  // namespace sdar
