// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/regular/unicode_sets.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include <utf8proc.h>

namespace sdar::grammar {
namespace {

// A character that has a lower or an upper form besides itself.
struct CasedCharacter {
  char32_t code_point;
  char32_t lower;
  char32_t upper;
};

std::vector<CasedCharacter> FindCasedCharacters() {
  std::vector<CasedCharacter> cased;
  for (int32_t c = 0; c < 0x110000; ++c) {
    const utf8proc_int32_t lower = utf8proc_tolower(c);
    const utf8proc_int32_t upper = utf8proc_toupper(c);
    if (lower == c && upper == c) continue;
    cased.push_back(
        {static_cast<char32_t>(c), static_cast<char32_t>(lower), static_cast<char32_t>(upper)});
  }
  return cased;
}

const std::vector<CasedCharacter>& CasedCharacters() {
  static const auto* const cased = new std::vector<CasedCharacter>(FindCasedCharacters());
  return *cased;
}

CodePointSet FindUnicodeWord() {
  std::vector<CodePointRange> ranges = {{'_', '_'}};
  for (char32_t c = 0; c < 0x110000; ++c) {
    switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
      case UTF8PROC_CATEGORY_LU:
      case UTF8PROC_CATEGORY_LL:
      case UTF8PROC_CATEGORY_LT:
      case UTF8PROC_CATEGORY_LM:
      case UTF8PROC_CATEGORY_LO:
      case UTF8PROC_CATEGORY_ND:
      case UTF8PROC_CATEGORY_NL:
      case UTF8PROC_CATEGORY_NO:
        ranges.push_back({c, c});
        break;
      default:
        break;
    }
  }
  return CodePointSet(std::move(ranges));
}

CodePointSet FindUnicodeDigits() {
  std::vector<CodePointRange> ranges;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_ND) {
      ranges.push_back({c, c});
    }
  }
  return CodePointSet(std::move(ranges));
}

// White space of both ECMAScript and Python, and of one of them.
NamedSet FindSpaces() {
  const CodePointSet both({{0x9, 0xD},
                           {' ', ' '},
                           {0xA0, 0xA0},
                           {0x1680, 0x1680},
                           {0x2000, 0x200A},
                           {0x2028, 0x2029},
                           {0x202F, 0x202F},
                           {0x205F, 0x205F},
                           {0x3000, 0x3000}});
  const CodePointSet one({{0x1C, 0x1F}, {0x85, 0x85}, {0xFEFF, 0xFEFF}});
  return {both, both.Union(one)};
}

}  // namespace

const CodePointSet& AsciiWord() { return WordSet().certain; }
const CodePointSet& UnicodeWord() { return WordSet().possible; }

const NamedSet& WordSet() {
  static const auto* const word = new NamedSet{
      CodePointSet({{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}), FindUnicodeWord()};
  return *word;
}

const NamedSet& DigitSet() {
  static const auto* const digits =
      new NamedSet{CodePointSet::Range('0', '9'), FindUnicodeDigits()};
  return *digits;
}

const NamedSet& SpaceSet() {
  static const auto* const spaces = new NamedSet(FindSpaces());
  return *spaces;
}

NamedSet IgnoringCase(const CodePointSet& set) {
  if (set.ranges().size() == 1 && set.ranges().front().last < 'A') return {set, set};
  absl::flat_hash_set<uint64_t> pairs;
  absl::flat_hash_set<char32_t> forms;
  const auto pair_of = [](const CasedCharacter& c) { return uint64_t{c.lower} << 32 | c.upper; };
  for (const CasedCharacter& c : CasedCharacters()) {
    if (!set.Has(c.code_point)) continue;
    pairs.insert(pair_of(c));
    forms.insert({c.lower, c.upper, c.code_point});
  }
  std::vector<CodePointRange> certain(set.ranges().begin(), set.ranges().end());
  std::vector<CodePointRange> possible = certain;
  for (int round = 0; round < 2; ++round) {  // the second finds what shares a form with the first
    for (const CasedCharacter& c : CasedCharacters()) {
      if (round == 0 && pairs.contains(pair_of(c))) certain.push_back({c.code_point, c.code_point});
      if (!forms.contains(c.lower) && !forms.contains(c.upper)) continue;
      forms.insert({c.lower, c.upper});
      possible.push_back({c.code_point, c.code_point});
    }
  }
  return {CodePointSet(std::move(certain)), CodePointSet(std::move(possible))};
}

}  // namespace sdar::grammar
