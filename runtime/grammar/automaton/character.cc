// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/character.h"

#include <algorithm>
#include <utility>

namespace sdar::grammar {
namespace {

// A begun character is a form in the high 8 bits and what its bytes said in the low 24.
enum Form : uint32_t {
  kNone,
  kTwo1,  // of two bytes, 1 to come
  kThree2,
  kThree1,
  kFour3,
  kFour2,
  kFour1,
  kEscape,  // after a backslash
  kHex0,    // after \u and 0 to 3 digits
  kHex1,
  kHex2,
  kHex3,
  kHigh,       // a high surrogate; its low 10 bits
  kHighSlash,  // and a backslash
  kLow0,       // and \u and 0 to 3 digits: 10 bits, then 12
  kLow1,
  kLow2,
  kLow3,
};

constexpr uint32_t kValueBits = 24;
constexpr uint32_t kValueMask = (1u << kValueBits) - 1;
constexpr char32_t kLastCodePoint = 0x10FFFF;
constexpr char32_t kFirstHigh = 0xD800;
constexpr char32_t kFirstLow = 0xDC00;
constexpr char32_t kLastLow = 0xDFFF;

CharacterStep Begun(uint32_t form, uint32_t value) {
  return {CharacterStep::kBegun, form << kValueBits | value};
}

CharacterStep Complete(char32_t code_point) {
  return {CharacterStep::kComplete, static_cast<uint32_t>(code_point)};
}

struct Utf8Form {
  int left;        // bytes to come
  char32_t least;  // code point of this length
};

Utf8Form Utf8Of(uint32_t form) {
  switch (form) {
    case kTwo1:
      return {1, 0x80};
    case kThree2:
      return {2, 0x800};
    case kThree1:
      return {1, 0x800};
    case kFour3:
      return {3, 0x10000};
    case kFour2:
      return {2, 0x10000};
    default:
      return {1, 0x10000};
  }
}

CharacterRange Utf8Range(uint32_t form, uint32_t value) {
  const Utf8Form utf8 = Utf8Of(form);
  const int shift = 6 * utf8.left;
  const char32_t first = std::max<char32_t>(char32_t{value} << shift, utf8.least);
  const char32_t last = std::min<char32_t>(((char32_t{value} + 1) << shift) - 1, kLastCodePoint);
  return {first, last, utf8.left};
}

bool IsSurrogate(char32_t c) { return c >= kFirstHigh && c <= kLastLow; }

// Adds a range without the surrogates in it.
void AddScalars(char32_t first, char32_t last, int cost, CharacterRanges& ranges) {
  if (first < kFirstHigh && first <= last) {
    ranges.push_back({first, std::min<char32_t>(last, kFirstHigh - 1), cost});
  }
  if (last > kLastLow && first <= last) {
    ranges.push_back({std::max<char32_t>(first, kLastLow + 1), last, cost});
  }
}

CharacterStep StepUtf8(uint32_t form, uint32_t value, uint8_t byte) {
  if ((byte & 0xC0) != 0x80) return {};
  const uint32_t joined = value << 6 | (byte & 0x3Fu);
  if (form == kTwo1 || form == kThree1 || form == kFour1) {
    return joined < Utf8Of(form).least || joined > kLastCodePoint || IsSurrogate(joined)
               ? CharacterStep{}
               : Complete(joined);
  }
  const uint32_t next = form + 1;
  CharacterRanges possible;
  const CharacterRange range = Utf8Range(next, joined);
  AddScalars(range.first, range.last, 0, possible);
  return possible.empty() ? CharacterStep{} : Begun(next, joined);
}

CharacterStep StepFirst(Writing writing, uint8_t byte) {
  if (byte < 0x80) {
    if (writing == Writing::kPlain) return Complete(byte);
    if (byte < 0x20 || byte == '"') return {};
    return byte == '\\' ? Begun(kEscape, 0) : Complete(byte);
  }
  if (byte >= 0xC2 && byte <= 0xDF) return Begun(kTwo1, byte & 0x1Fu);
  if (byte >= 0xE0 && byte <= 0xEF) return Begun(kThree2, byte & 0x0Fu);
  if (byte >= 0xF0 && byte <= 0xF4) return Begun(kFour3, byte & 0x07u);
  return {};
}

constexpr std::pair<char, char32_t> kShortEscapes[] = {
    {'"', '"'}, {'\\', '\\'}, {'/', '/'}, {'b', 8}, {'f', 12}, {'n', 10}, {'r', 13}, {'t', 9}};

int HexDigit(uint8_t byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
  return -1;
}

CharacterStep StepEscape(uint8_t byte) {
  if (byte == 'u') return Begun(kHex0, 0);
  for (const auto& [letter, code_point] : kShortEscapes) {
    if (byte == static_cast<uint8_t>(letter)) return Complete(code_point);
  }
  return {};
}

// The values that `digits` hexadecimal digits of four may still become.
std::pair<char32_t, char32_t> HexRange(uint32_t value, uint32_t digits) {
  const uint32_t shift = 4 * (4 - digits);
  return {char32_t{value} << shift, ((char32_t{value} + 1) << shift) - 1};
}

CharacterStep StepHex(uint32_t form, uint32_t value, uint8_t byte) {
  const int digit = HexDigit(byte);
  if (digit < 0) return {};
  const uint32_t joined = value << 4 | static_cast<uint32_t>(digit);
  if (form != kHex3) {
    const auto [first, last] = HexRange(joined, form + 1 - kHex0);
    return first >= kFirstLow && last <= kLastLow ? CharacterStep{} : Begun(form + 1, joined);
  }
  if (joined >= kFirstLow && joined <= kLastLow) return {};
  return IsSurrogate(joined) ? Begun(kHigh, joined - kFirstHigh) : Complete(joined);
}

CharacterStep StepLow(uint32_t form, uint32_t value, uint8_t byte) {
  const int digit = HexDigit(byte);
  if (digit < 0) return {};
  const uint32_t high = value >> 12;
  const uint32_t joined = (value & 0xFFF) << 4 | static_cast<uint32_t>(digit);
  const auto [first, last] = HexRange(joined, form + 1 - kLow0);
  if (last < kFirstLow || first > kLastLow) return {};
  if (form != kLow3) return Begun(form + 1, high << 12 | joined);
  return Complete(0x10000 + (high << 10) + (joined - kFirstLow));
}

void AddEscapes(CharacterRanges& ranges) {
  for (const auto& [letter, code_point] : kShortEscapes) {
    ranges.push_back({code_point, code_point, 1});
  }
  AddScalars(0, 0xFFFF, 5, ranges);
  ranges.push_back({0x10000, kLastCodePoint, 11});
}

void AddHex(uint32_t form, uint32_t value, CharacterRanges& ranges) {
  const uint32_t digits = form - kHex0;
  const int left = static_cast<int>(4 - digits);
  const auto [first, last] = HexRange(value, digits);
  AddScalars(first, last, left, ranges);
  const char32_t high_first = std::max(first, kFirstHigh);
  const char32_t high_last = std::min<char32_t>(last, kFirstLow - 1);
  if (high_first <= high_last) {
    ranges.push_back({0x10000 + ((high_first - kFirstHigh) << 10),
                      0x10000 + ((high_last - kFirstHigh) << 10) + 0x3FF, left + 6});
  }
}

void AddLow(uint32_t form, uint32_t value, CharacterRanges& ranges) {
  const uint32_t digits = form - kLow0;
  const auto [first, last] = HexRange(value & 0xFFF, digits);
  const char32_t base = 0x10000 + ((value >> 12) << 10);
  ranges.push_back({base + (std::max(first, kFirstLow) - kFirstLow),
                    base + (std::min(last, kLastLow) - kFirstLow), static_cast<int>(4 - digits)});
}

void AddAll(Writing writing, CharacterRanges& ranges) {
  if (writing == Writing::kPlain) {
    ranges.push_back({0, 0x7F, 1});
  } else {
    ranges.push_back({0x20, 0x21, 1});
    ranges.push_back({0x23, 0x5B, 1});
    ranges.push_back({0x5D, 0x7F, 1});
    for (const auto& [letter, code_point] : kShortEscapes) {
      if (code_point != '/') ranges.push_back({code_point, code_point, 2});
    }
    ranges.push_back({0, 0x1F, 6});
  }
  ranges.push_back({0x80, 0x7FF, 2});
  AddScalars(0x800, 0xFFFF, 3, ranges);
  ranges.push_back({0x10000, kLastCodePoint, 4});
}

}  // namespace

CharacterStep StepCharacter(Writing writing, BegunCharacter begun, uint8_t byte) {
  const uint32_t form = begun >> kValueBits;
  const uint32_t value = begun & kValueMask;
  if (form == kNone) return StepFirst(writing, byte);
  if (form <= kFour1) return StepUtf8(form, value, byte);
  if (form == kEscape) return StepEscape(byte);
  if (form <= kHex3) return StepHex(form, value, byte);
  if (form == kHigh) return byte == '\\' ? Begun(kHighSlash, value) : CharacterStep{};
  if (form == kHighSlash) return byte == 'u' ? Begun(kLow0, value << 12) : CharacterStep{};
  return StepLow(form, value, byte);
}

CharacterRanges RangesOf(Writing writing, BegunCharacter begun) {
  CharacterRanges ranges;
  const uint32_t form = begun >> kValueBits;
  const uint32_t value = begun & kValueMask;
  if (form == kNone) {
    AddAll(writing, ranges);
  } else if (form <= kFour1) {
    const CharacterRange range = Utf8Range(form, value);
    AddScalars(range.first, range.last, range.cost, ranges);
  } else if (form == kEscape) {
    AddEscapes(ranges);
  } else if (form <= kHex3) {
    AddHex(form, value, ranges);
  } else if (form == kHigh || form == kHighSlash) {
    const char32_t first = 0x10000 + (char32_t{value} << 10);
    ranges.push_back({first, first + 0x3FF, form == kHigh ? 6 : 5});
  } else {
    AddLow(form, value, ranges);
  }
  return ranges;
}

}  // namespace sdar::grammar
