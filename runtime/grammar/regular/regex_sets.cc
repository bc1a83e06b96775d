// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/regular/regex_sets.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

#include "common/printable.h"
#include "common/status_macros.h"

namespace sdar::grammar {
namespace {

constexpr size_t kMaxProperties = 20;  // each takes some 20 ms

RegexCharacter OneCharacter(char32_t code_point) {
  const CodePointSet set = CodePointSet::Of(code_point);
  return {code_point, {set, set}};
}

RegexCharacter ManyCharacters(NamedSet set) { return {std::nullopt, std::move(set)}; }

int HexDigit(char32_t c) {
  if (c >= '0' && c <= '9') return static_cast<int>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<int>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<int>(c - 'A') + 10;
  return -1;
}

// The next `count` hexadecimal digits; nothing is taken where there are fewer.
std::optional<char32_t> TakeHex(RegexScanner& scanner, size_t count) {
  char32_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    const int digit = HexDigit(scanner.Peek(i));
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<char32_t>(digit);
  }
  scanner.Return(scanner.position() + count);
  return value;
}

// The value in braces, as \x{41} and \u{41} have it. Requires: the next character is {.
std::optional<char32_t> TakeBracedHex(RegexScanner& scanner) {
  const size_t begin = scanner.position();
  scanner.Take();
  char32_t value = 0;
  size_t digits = 0;
  for (; HexDigit(scanner.Peek()) >= 0 && value < 0x110000; ++digits) {
    value = value * 16 + static_cast<char32_t>(HexDigit(scanner.Take()));
  }
  if (digits > 0 && value < 0x110000 && scanner.TakeIf(U'}')) return value;
  scanner.Return(begin);
  return std::nullopt;
}

// \uXXXX, two of which may be a pair of surrogates; \u{...}.
absl::StatusOr<char32_t> ReadUnicodeEscape(RegexScanner& scanner, size_t begin) {
  if (scanner.Peek() == '{') {
    if (const auto value = TakeBracedHex(scanner); value.has_value()) return *value;
    return scanner.Error(begin, "\\u{ needs a code point and }");
  }
  const std::optional<char32_t> high = TakeHex(scanner, 4);
  if (!high.has_value()) return scanner.Error(begin, "\\u needs four hexadecimal digits");
  if (*high < 0xD800 || *high > 0xDBFF) return *high;
  const size_t behind = scanner.position();
  if (scanner.TakeIf("\\u")) {
    const std::optional<char32_t> low = TakeHex(scanner, 4);
    if (low.has_value() && *low >= 0xDC00 && *low <= 0xDFFF) {
      return 0x10000 + ((*high - 0xD800) << 10) + (*low - 0xDC00);
    }
  }
  scanner.Return(behind);
  return *high;
}

// \p{name}, \pL and their negations.
absl::StatusOr<RegexCharacter> ReadProperty(RegexScanner& scanner, size_t begin, bool negated) {
  std::string name;
  if (scanner.TakeIf(U'{')) {
    negated ^= scanner.TakeIf(U'^');
    const size_t first = scanner.position();
    while (scanner.Peek() != '}') {
      if (scanner.AtEnd()) return scanner.Error(begin, "\\p{ needs a name and }");
      scanner.Take();
    }
    name = scanner.Text(first, scanner.position());
    scanner.Take();
  } else if (!scanner.AtEnd()) {
    name = scanner.Text(scanner.position(), scanner.position() + 1);
    scanner.Take();
  }
  const auto known = scanner.named_sets().find(name);
  if (known != scanner.named_sets().end()) {
    return ManyCharacters(negated ? Negated(known->second) : known->second);
  }
  if (scanner.named_sets().size() >= kMaxProperties) {
    return absl::ResourceExhaustedError("the regular expression names too many properties");
  }
  absl::StatusOr<NamedSet> set = PropertySet(name);
  if (!set.ok()) return scanner.Error(begin, set.status().message());
  scanner.named_sets().emplace(name, *set);
  return ManyCharacters(negated ? Negated(*set) : *std::move(set));
}

// Octal digits: \0, \012, and in a class or with three digits \101.
std::optional<char32_t> TakeOctal(RegexScanner& scanner, bool in_class) {
  const auto is_octal = [&](size_t ahead) {
    return scanner.Peek(ahead) >= '0' && scanner.Peek(ahead) <= '7';
  };
  if (!is_octal(0)) return std::nullopt;
  const bool three = scanner.Peek() <= '3' && is_octal(1) && is_octal(2);
  if (scanner.Peek() != '0' && !three && !in_class) return std::nullopt;
  const size_t count = three ? 3 : is_octal(1) ? 2 : 1;
  char32_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value * 8 + (scanner.Take() - '0');
  return value;
}

// \d, \w, \s and their negations.
std::optional<RegexCharacter> NamedEscape(char32_t letter) {
  switch (letter) {
    case 'd':
      return ManyCharacters(DigitSet());
    case 'D':
      return ManyCharacters(Negated(DigitSet()));
    case 'w':
      return ManyCharacters(WordSet());
    case 'W':
      return ManyCharacters(Negated(WordSet()));
    case 's':
      return ManyCharacters(SpaceSet());
    case 'S':
      return ManyCharacters(Negated(SpaceSet()));
    default:
      return std::nullopt;
  }
}

std::optional<char32_t> ControlEscape(char32_t letter) {
  switch (letter) {
    case 'a':
      return '\a';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    default:
      return std::nullopt;
  }
}

// \x41, \x{41}, \u0041, \U00000041 and \cA. Requires: `letter` is one of x, u, U and c.
absl::StatusOr<RegexCharacter> ReadNumericEscape(RegexScanner& scanner, char32_t letter,
                                                 size_t begin) {
  if (letter == 'u') {
    SDAR_ASSIGN_OR_RETURN(const char32_t value, ReadUnicodeEscape(scanner, begin));
    return OneCharacter(value);
  }
  if (letter == 'c') {
    const char32_t next = scanner.Peek();
    if (next > 'z' || !absl::ascii_isalpha(static_cast<unsigned char>(next))) {
      return scanner.Error(begin, "\\c needs a letter");
    }
    return OneCharacter(scanner.Take() % 32);
  }
  const bool braced = letter == 'x' && scanner.Peek() == '{';
  const std::optional<char32_t> value =
      braced ? TakeBracedHex(scanner) : TakeHex(scanner, letter == 'x' ? 2 : 8);
  if (!value.has_value() || *value > 0x10FFFF) {
    return scanner.Error(begin, "\\x needs two hexadecimal digits, \\U eight");
  }
  return OneCharacter(*value);
}

}  // namespace

NamedSet Negated(const NamedSet& set) {
  return {set.possible.Complement(), set.certain.Complement()};
}

absl::StatusOr<RegexCharacter> ReadEscape(RegexScanner& scanner, bool in_class) {
  const size_t begin = scanner.position() - 1;
  if (scanner.AtEnd()) return scanner.Error(begin, "a backslash ends the pattern");
  if (const auto octal = TakeOctal(scanner, in_class); octal.has_value()) {
    return OneCharacter(*octal);
  }
  const char32_t letter = scanner.Take();
  if (const auto named = NamedEscape(letter); named.has_value()) return *named;
  if (const auto control = ControlEscape(letter); control.has_value()) {
    return OneCharacter(*control);
  }
  if (letter == 'b' && in_class) return OneCharacter('\b');
  if (letter == 'p' || letter == 'P') return ReadProperty(scanner, begin, letter == 'P');
  if (letter == 'x' || letter == 'u' || letter == 'U' || letter == 'c') {
    return ReadNumericEscape(scanner, letter, begin);
  }
  if (letter == 'k' || (letter >= '1' && letter <= '9')) {
    return scanner.Error(begin, "back-references are not regular");
  }
  if (letter < 128 && absl::ascii_isalnum(static_cast<unsigned char>(letter))) {
    return scanner.Error(begin,
                         absl::StrCat("unknown escape \\", scanner.Text(begin + 1, begin + 2)));
  }
  return OneCharacter(letter);
}

namespace {

// Collects the members of one class.
class ClassReader {
 public:
  explicit ClassReader(RegexScanner& scanner) : scanner_(scanner), begin_(scanner.position() - 1) {}

  absl::StatusOr<NamedSet> Read(bool ignore_case) {
    const bool negated = scanner_.TakeIf(U'^');
    // Python takes ] for a member here; in ECMAScript it ends the class.
    bool may_end = scanner_.Peek() == ']' && !AnotherEndFollows();
    while (!may_end || scanner_.Peek() != ']') {
      if (scanner_.AtEnd()) return scanner_.Error(begin_, "a class needs its ]");
      SDAR_RETURN_IF_ERROR(ReadMember());
      may_end = true;
    }
    scanner_.Take();
    NamedSet set = {CodePointSet(std::move(certain_)), CodePointSet(std::move(possible_))};
    if (HasAll()) set = {CodePointSet::All(), CodePointSet::All()};
    if (ignore_case) {
      set = {IgnoringCase(set.certain).certain, IgnoringCase(set.possible).possible};
    }
    return negated ? Negated(set) : set;
  }

 private:
  // Whether the class has another ] behind the one that comes next.
  bool AnotherEndFollows() const {
    for (size_t i = 1; scanner_.Peek(i) != RegexScanner::kEnd; ++i) {
      if (scanner_.Peek(i) == '\\') ++i;
      if (scanner_.Peek(i) == ']') return true;
    }
    return false;
  }

  absl::StatusOr<RegexCharacter> ReadCharacter() {
    if (!scanner_.TakeIf(U'\\')) return OneCharacter(scanner_.Take());
    const size_t kind = absl::string_view("dDwWsS").find(static_cast<char>(scanner_.Peek()));
    if (kind != absl::string_view::npos && scanner_.Peek() < 128) named_ |= 1U << kind;
    return ReadEscape(scanner_, true);
  }
  // [\s\S] and the like: whatever a reading takes for space, the class has all characters.
  bool HasAll() const { return (named_ & named_ >> 1 & 0b010101U) != 0; }

  absl::Status ReadMember() {
    const size_t at = scanner_.position();
    SDAR_ASSIGN_OR_RETURN(const RegexCharacter first, ReadCharacter());
    const bool range =
        scanner_.Peek() == '-' && scanner_.Peek(1) != ']' && scanner_.Peek(1) != RegexScanner::kEnd;
    if (!range) {
      Add(first.set);
      return absl::OkStatus();
    }
    scanner_.Take();
    SDAR_ASSIGN_OR_RETURN(const RegexCharacter last, ReadCharacter());
    if (!first.code_point.has_value() || !last.code_point.has_value()) {
      Add(first.set);  // [\w-.] is three members
      Add(OneCharacter('-').set);
      Add(last.set);
      return absl::OkStatus();
    }
    if (*last.code_point < *first.code_point) {
      return scanner_.Error(at, "a range of characters runs backwards");
    }
    const CodePointSet between = CodePointSet::Range(*first.code_point, *last.code_point);
    Add({between, between});
    return absl::OkStatus();
  }

  void Add(const NamedSet& set) {
    const auto append = [](const CodePointSet& from, std::vector<CodePointRange>& to) {
      to.insert(to.end(), from.ranges().begin(), from.ranges().end());
    };
    append(set.certain, certain_);
    append(set.possible, possible_);
  }

  RegexScanner& scanner_;
  const size_t begin_;
  std::vector<CodePointRange> certain_;
  std::vector<CodePointRange> possible_;
  unsigned named_ = 0;  // bits of the escapes d D w W s S
};

}  // namespace

absl::StatusOr<NamedSet> ReadClass(RegexScanner& scanner, bool ignore_case) {
  return ClassReader(scanner).Read(ignore_case);
}

}  // namespace sdar::grammar
