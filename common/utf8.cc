// SPDX-License-Identifier: Apache-2.0
#include "common/utf8.h"

#include <algorithm>

namespace sdar {
namespace {

// What the first byte of a sequence says: its length and the range its second byte must be in.
struct Lead {
  size_t length;  // 0: not a lead byte
  uint8_t low;
  uint8_t high;
};

Lead LeadOf(uint8_t byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};  // no surrogates
  if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Utf8Step ReadUtf8(absl::string_view text, size_t position) {
  const auto byte = static_cast<uint8_t>(text[position]);
  if (byte < 0x80) return {byte, 1, true, false};
  const Lead lead = LeadOf(byte);
  if (lead.length == 0) return {};
  char32_t code_point = byte & (0x7Fu >> lead.length);
  for (size_t i = 1; i < lead.length; ++i) {
    if (position + i >= text.size()) return {kReplacementCharacter, i, false, true};
    const auto next = static_cast<uint8_t>(text[position + i]);
    const uint8_t low = i == 1 ? lead.low : 0x80;
    const uint8_t high = i == 1 ? lead.high : 0xBF;
    if (next < low || next > high) return {kReplacementCharacter, i, false, false};
    code_point = (code_point << 6) | (next & 0x3Fu);
  }
  return {code_point, lead.length, true, false};
}

void AppendUtf8(char32_t code_point, std::string& out) {
  if (code_point < 0x80) {
    out.push_back(static_cast<char>(code_point));
    return;
  }
  const int tail = code_point < 0x800 ? 1 : code_point < 0x10000 ? 2 : 3;
  const uint32_t marker = tail == 1 ? 0xC0 : tail == 2 ? 0xE0 : 0xF0;
  out.push_back(static_cast<char>(marker | (code_point >> (6 * tail))));
  for (int i = tail - 1; i >= 0; --i) {
    out.push_back(static_cast<char>(0x80u | ((code_point >> (6 * i)) & 0x3Fu)));
  }
}

std::string ReplaceInvalidUtf8(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    if (step.valid) {
      out.append(text.data() + i, step.length);
    } else {
      AppendUtf8(kReplacementCharacter, out);
    }
    i += step.length;
  }
  return out;
}

bool IsValidUtf8(absl::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    if (!step.valid) return false;
    i += step.length;
  }
  return true;
}

size_t TruncatedTailLength(absl::string_view text) {
  for (size_t length = 1; length <= std::min<size_t>(3, text.size()); ++length) {
    const size_t position = text.size() - length;
    const auto byte = static_cast<uint8_t>(text[position]);
    if ((byte & 0xC0u) == 0x80u) continue;  // a continuation byte: its lead is further left
    const Utf8Step step = ReadUtf8(text, position);
    return step.truncated && step.length == length ? length : 0;
  }
  return 0;
}

bool IsPythonSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

}  // namespace sdar
