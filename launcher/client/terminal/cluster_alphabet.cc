// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal/cluster_alphabet.h"

#include <cwchar>

#include "absl/strings/str_cat.h"

#include "common/utf8.h"
#include "launcher/client/terminal/terminal_text.h"

namespace sdar {
namespace {

// The symbols: a plane for private use, of one column, and Tangut, of two. Who types one of these
// gets a symbol for it.
constexpr char32_t kNarrowBegin = 0x100000;
constexpr char32_t kNarrowEnd = 0x10FFFE;
constexpr char32_t kWideBegin = 0x17000;
constexpr char32_t kWideEnd = 0x187F8;
// Marks on one character; more make no letter of any language.
constexpr size_t kMaxMarks = 16;

bool IsNarrowSymbol(char32_t c) { return c >= kNarrowBegin && c < kNarrowEnd; }
bool IsWideSymbol(char32_t c) { return c >= kWideBegin && c < kWideEnd; }

}  // namespace

bool ClusterAlphabet::IsMark(char32_t c) {
  return c >= 0xA0 && wcwidth(static_cast<wchar_t>(c)) == 0;
}

bool ClusterAlphabet::NeedsSymbol(char32_t c) {
  return IsMark(c) || IsNarrowSymbol(c) || IsWideSymbol(c);
}

wchar_t ClusterAlphabet::SymbolOf(const std::u32string& cluster) {
  if (cluster.size() == 1 && !NeedsSymbol(cluster[0])) return static_cast<wchar_t>(cluster[0]);
  const bool wide = wcwidth(static_cast<wchar_t>(cluster[0])) == 2;
  Symbols& symbols = wide ? wide_ : narrow_;
  const char32_t begin = wide ? kWideBegin : kNarrowBegin;
  const size_t limit = wide ? kWideEnd - kWideBegin : kNarrowEnd - kNarrowBegin;
  const auto known = symbols.numbers.find(cluster);
  if (known != symbols.numbers.end()) return static_cast<wchar_t>(begin + known->second);
  if (symbols.clusters.size() == limit) return static_cast<wchar_t>(kReplacementCharacter);
  symbols.numbers.emplace(cluster, symbols.clusters.size());
  symbols.clusters.push_back(cluster);
  return static_cast<wchar_t>(begin + symbols.clusters.size() - 1);
}

std::wstring ClusterAlphabet::Encode(absl::string_view text) {
  std::wstring out;
  std::u32string cluster;
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    i += step.length;
    const char32_t c = step.valid ? step.code_point : kReplacementCharacter;
    if (IsMark(c)) {
      if (!cluster.empty() && cluster.size() <= kMaxMarks) cluster += c;
      continue;
    }
    if (!cluster.empty()) out += SymbolOf(cluster);
    cluster.clear();
    if (!IsControlCharacter(c)) {
      cluster = c;
    } else if (c == '\n' || c == '\t') {
      out += static_cast<wchar_t>(c);
    }
  }
  if (!cluster.empty()) out += SymbolOf(cluster);
  return out;
}

wchar_t ClusterAlphabet::AddMark(wchar_t symbol, char32_t mark) {
  std::u32string cluster = ClusterOf(static_cast<char32_t>(symbol));
  if (IsControlCharacter(cluster[0]) || cluster.size() > kMaxMarks) return symbol;
  cluster += mark;
  return SymbolOf(cluster);
}

std::u32string ClusterAlphabet::ClusterOf(char32_t symbol) const {
  const bool wide = IsWideSymbol(symbol);
  const Symbols& symbols = wide ? wide_ : narrow_;
  const size_t number = symbol - (wide ? kWideBegin : kNarrowBegin);
  const bool known = (wide || IsNarrowSymbol(symbol)) && number < symbols.clusters.size();
  return known ? symbols.clusters[number] : std::u32string(1, symbol);
}

std::string ClusterAlphabet::Decode(const std::wstring& symbols) const {
  std::string out;
  for (const wchar_t symbol : symbols) {
    for (const char32_t c : ClusterOf(static_cast<char32_t>(symbol))) AppendUtf8(c, out);
  }
  return out;
}

std::string ClusterAlphabet::DecodeUtf8(absl::string_view text) const {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    if (step.valid && NeedsSymbol(step.code_point)) {
      for (const char32_t c : ClusterOf(step.code_point)) AppendUtf8(c, out);
    } else {
      absl::StrAppend(&out, text.substr(i, step.length));
    }
    i += step.length;
  }
  return out;
}

}  // namespace sdar
