// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal/terminal_text.h"

#include "common/utf8.h"
#include "utf8proc.h"

namespace sdar {
namespace {

constexpr char32_t kReturnSymbol = 0x23CE;

template <typename Map>
std::string MapCodePoints(absl::string_view text, const Map& map) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    AppendUtf8(step.valid ? map(step.code_point) : kReplacementCharacter, out);
    i += step.length;
  }
  return out;
}

}  // namespace

bool IsControlCharacter(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

std::string ForTerminal(absl::string_view text) {
  return MapCodePoints(text, [](char32_t c) {
    return IsControlCharacter(c) && c != '\n' && c != '\t' ? kReplacementCharacter : c;
  });
}

std::string ForOneLine(absl::string_view text) {
  return MapCodePoints(text, [](char32_t c) {
    if (c == '\n') return kReturnSymbol;
    if (c == '\t') return U' ';
    return IsControlCharacter(c) ? kReplacementCharacter : c;
  });
}

int ColumnsOf(char32_t code_point) {
  return utf8proc_charwidth(static_cast<utf8proc_int32_t>(code_point));
}

int ColumnsOf(absl::string_view text) {
  int columns = 0;
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    columns += ColumnsOf(step.code_point);
    i += step.length;
  }
  return columns;
}

}  // namespace sdar
