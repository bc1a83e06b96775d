// SPDX-License-Identifier: Apache-2.0
// Text as libedit can edit it. libedit counts one column for a combining mark, so that its cursor
// would stand beside the character it is on: it sees a character and its marks as one symbol.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sdar {

class ClusterAlphabet {
 public:
  // It takes no column of its own.
  static bool IsMark(char32_t character);
  // It does not stand for itself: a mark, or one of the symbols' own code points.
  static bool NeedsSymbol(char32_t character);

  // A mark that has no character to stand on is left out, and so are control characters except
  // newline and tab. Bytes that are not UTF-8 become U+FFFD.
  std::wstring Encode(absl::string_view text);
  // The symbol for `symbol` with one more mark on it, or as it is where it can carry none.
  wchar_t AddMark(wchar_t symbol, char32_t mark);
  std::string Decode(const std::wstring& symbols) const;
  // The same for symbols in UTF-8. Other text stays, as it is.
  std::string DecodeUtf8(absl::string_view text) const;

 private:
  // Symbols of one width, by number.
  struct Symbols {
    std::vector<std::u32string> clusters;
    std::map<std::u32string, size_t> numbers;
  };
  wchar_t SymbolOf(const std::u32string& cluster);
  std::u32string ClusterOf(char32_t symbol) const;

  Symbols narrow_;
  Symbols wide_;
};

}  // namespace sdar
