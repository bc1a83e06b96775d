// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/regular/regex_parser.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/grammar/regular/regex_scanner.h"
#include "runtime/grammar/regular/regex_sets.h"

namespace sdar::grammar {
namespace {

constexpr int kMaxRepeat = 100'000;

// What (?i), (?m) and (?s) change.
struct Flags {
  bool ignore_case = false;
  bool multiline = false;
  bool dot_all = false;
};

// How often something is repeated.
struct Quantifier {
  int min = 0;
  int max = -1;
};

// One use of ParseRegex: recursive descent, as deep as groups are nested.
class RegexParser {
 public:
  RegexParser(const std::u32string& pattern, const RegexOptions& options,
              const RegularLimits& limits)
      : scanner_(pattern), pattern_(pattern), options_(options), limits_(limits) {
    flags_.ignore_case = options.ignore_case;
  }

  absl::StatusOr<ParsedRegex> Parse() {
    SDAR_ASSIGN_OR_RETURN(parsed_.tree.root, ParseChoice(0));
    if (!scanner_.AtEnd()) return scanner_.Error(scanner_.position(), "a ) has no (");
    return std::move(parsed_);
  }

 private:
  using Kind = RegexNode::Kind;

  int Add(RegexNode node) {
    parsed_.tree.nodes.push_back(std::move(node));
    return static_cast<int>(parsed_.tree.nodes.size()) - 1;
  }

  int AddSet(const NamedSet& set) {
    parsed_.tree.sets.push_back(options_.reading == RegexReading::kBoth ? set.certain
                                                                        : set.possible);
    RegexNode node;
    node.kind = Kind::kSet;
    node.set = static_cast<int>(parsed_.tree.sets.size()) - 1;
    return Add(std::move(node));
  }

  int AddCharacter(char32_t c) {
    const CodePointSet set = CodePointSet::Of(c);
    return AddSet(flags_.ignore_case ? IgnoringCase(set) : NamedSet{set, set});
  }

  int AddAssertion(Assertion assertion) {
    RegexNode node;
    node.kind = Kind::kAssertion;
    node.assertion = assertion;
    return Add(std::move(node));
  }

  // Alternatives up to a ) or the end. Flags that they set end with them.
  absl::StatusOr<int> ParseChoice(int depth) {
    if (depth > limits_.max_depth) {
      return absl::ResourceExhaustedError("the regular expression is nested too deeply");
    }
    const Flags outside = flags_;
    RegexNode choice;
    choice.kind = Kind::kChoice;
    do {
      SDAR_ASSIGN_OR_RETURN(const int alternative, ParseSequence(depth));
      choice.children.push_back(alternative);
    } while (scanner_.TakeIf(U'|'));
    flags_ = outside;
    if (choice.children.size() == 1) return choice.children.front();
    if (depth == 0 && !parsed_.lookaheads.empty()) {
      return scanner_.Error(0, "look-ahead in one of several alternatives is not supported");
    }
    return Add(std::move(choice));
  }

  absl::StatusOr<int> ParseSequence(int depth) {
    RegexNode sequence;
    while (!scanner_.AtEnd() && scanner_.Peek() != '|' && scanner_.Peek() != ')') {
      SDAR_ASSIGN_OR_RETURN(const std::optional<int> item, ParseItem(depth));
      if (!item.has_value()) continue;
      SDAR_ASSIGN_OR_RETURN(const int repeated, ParseQuantifiers(*item));
      sequence.children.push_back(repeated);
    }
    return Add(std::move(sequence));
  }

  // One character, class, group or assertion; nothing for comments and flags.
  absl::StatusOr<std::optional<int>> ParseItem(int depth) {
    const size_t at = scanner_.position();
    switch (const char32_t c = scanner_.Take()) {
      case '(':
        return ParseGroup(depth, at);
      case '[': {
        SDAR_ASSIGN_OR_RETURN(const NamedSet set, ReadClass(scanner_, flags_.ignore_case));
        return AddSet(set);
      }
      case '.':
        return AddSet(AnyCharacter());
      case '^':
        return AddAssertion(flags_.multiline ? Assertion::kLineStart : Assertion::kTextStart);
      case '$':
        return AddEnd();
      case '\\':
        return ParseEscape(at);
      case '*':
      case '+':
      case '?':
        return scanner_.Error(at, "there is nothing to repeat");
      case '{':
        scanner_.Return(at);
        if (TakeCounts().has_value()) return scanner_.Error(at, "there is nothing to repeat");
        scanner_.Take();
        return AddCharacter(c);
      default:
        return AddCharacter(c);
    }
  }

  // `.`: both exclude \n, ECMAScript \r and the separators of Unicode too.
  NamedSet AnyCharacter() const {
    if (flags_.dot_all) return {CodePointSet::All(), CodePointSet::All()};
    const CodePointSet newline = CodePointSet::Of('\n');
    const CodePointSet line_ends({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}});
    return {line_ends.Complement(), newline.Complement()};
  }

  // $, which in Python holds before a last \n too.
  int AddEnd() {
    if (flags_.multiline) return AddAssertion(Assertion::kLineEnd);
    const int end = AddAssertion(Assertion::kTextEnd);
    if (options_.reading == RegexReading::kBoth) return end;
    RegexNode newline_first;
    newline_first.children = {AddCharacter('\n'), AddAssertion(Assertion::kTextEnd)};
    RegexNode choice;
    choice.kind = Kind::kChoice;
    choice.children = {end, Add(std::move(newline_first))};
    return Add(std::move(choice));
  }

  absl::StatusOr<std::optional<int>> ParseEscape(size_t at) {
    const char32_t next = scanner_.Peek();
    std::optional<Assertion> assertion;
    if (next == 'A') assertion = Assertion::kTextStart;
    if (next == 'Z' || next == 'z') assertion = Assertion::kTextEnd;
    if (next == 'b') assertion = Assertion::kWordBoundary;
    if (next == 'B') assertion = Assertion::kNoWordBoundary;
    if (assertion.has_value()) {
      scanner_.Take();
      if ((next == 'b' || next == 'B') && options_.reading == RegexReading::kEither) {
        return scanner_.Error(at, "word boundaries within look-ahead are not supported");
      }
      return AddAssertion(*assertion);
    }
    SDAR_ASSIGN_OR_RETURN(const RegexCharacter character, ReadEscape(scanner_, false));
    if (!character.code_point.has_value()) {
      const NamedSet& set = character.set;
      if (!flags_.ignore_case) return AddSet(set);
      return AddSet({set.certain, IgnoringCase(set.possible).possible});
    }
    return AddCharacter(*character.code_point);
  }

  // Requires: the scanner is behind the ( at `at`.
  absl::StatusOr<std::optional<int>> ParseGroup(int depth, size_t at) {
    const Flags outside = flags_;
    if (scanner_.TakeIf(U'?')) {
      if (scanner_.TakeIf(U'#')) return SkipComment(at);
      if (scanner_.TakeIf("P<") || (scanner_.Peek() == '<' && scanner_.Peek(1) != '=' &&
                                    scanner_.Peek(1) != '!' && scanner_.TakeIf(U'<'))) {
        SDAR_RETURN_IF_ERROR(SkipName(at));
      } else if (scanner_.Peek() == '=' || scanner_.Peek() == '!') {
        return ParseLookahead(depth, at);
      } else if (!scanner_.TakeIf(U':')) {
        SDAR_RETURN_IF_ERROR(RefuseGroup(at));
        SDAR_ASSIGN_OR_RETURN(const bool group, ParseFlags(at));
        if (!group) return std::optional<int>();
      }
    } else if (scanner_.Peek() == '*') {
      return scanner_.Error(at, "verbs are not supported");
    }
    SDAR_ASSIGN_OR_RETURN(const int inside, ParseChoice(depth + 1));
    flags_ = outside;
    if (!scanner_.TakeIf(U')')) return scanner_.Error(at, "a ( has no )");
    return inside;
  }

  absl::StatusOr<std::optional<int>> SkipComment(size_t at) {
    while (!scanner_.AtEnd()) {
      if (scanner_.Take() == ')') return std::optional<int>();
    }
    return scanner_.Error(at, "a comment has no end");
  }

  absl::Status SkipName(size_t at) {
    const size_t first = scanner_.position();
    while (!scanner_.AtEnd()) {
      if (scanner_.Take() != '>') continue;
      return scanner_.position() - first > 1 ? absl::OkStatus()
                                             : scanner_.Error(at, "a group has an empty name");
    }
    return scanner_.Error(at, "the name of a group has no end");
  }

  // An error for groups that are not regular; the scanner is behind "(?".
  absl::Status RefuseGroup(size_t at) const {
    switch (scanner_.Peek()) {
      case '<':
        return scanner_.Error(at, "look-behind is not supported");
      case '>':
        return scanner_.Error(at, "atomic groups are not supported");
      case '(':
        return scanner_.Error(at, "conditions are not supported");
      case 'P':
        return scanner_.Error(at, scanner_.Peek(1) == '=' ? "back-references are not regular"
                                                          : "recursion is not regular");
      case 'R':
      case '&':
      case '+':
      case '0':
      case '1':
        return scanner_.Error(at, "recursion is not regular");
      default:
        return absl::OkStatus();
    }
  }

  // Reads flags such as i-s. True when they open a group, false when they hold for the rest of the
  // group that they stand in.
  absl::StatusOr<bool> ParseFlags(size_t at) {
    bool value = true;
    while (!scanner_.AtEnd()) {
      switch (scanner_.Take()) {
        case 'i':
          flags_.ignore_case = value;
          break;
        case 'm':
          flags_.multiline = value;
          break;
        case 's':
          flags_.dot_all = value;
          break;
        case 'a':
        case 'u':
          break;  // what both readings accept is the same
        case '-':
          value = false;
          break;
        case ':':
          return true;
        case ')':
          return false;
        default:
          return scanner_.Error(at, "this kind of group or flag is not supported");
      }
    }
    return scanner_.Error(at, "a ( has no )");
  }

  // The scanner is at = or ! of "(?=" or "(?!".
  absl::StatusOr<std::optional<int>> ParseLookahead(int depth, size_t at) {
    const bool negative = scanner_.Take() == '!';
    const size_t first = scanner_.position();
    const bool leading = OnlyAnchorBefore(at);
    const Flags outside = flags_;
    const size_t num_lookaheads = parsed_.lookaheads.size();
    SDAR_ASSIGN_OR_RETURN(const int inside, ParseChoice(depth + 1));
    flags_ = outside;
    const size_t last = scanner_.position();
    if (!scanner_.TakeIf(U')')) return scanner_.Error(at, "a ( has no )");
    const bool inner = parsed_.lookaheads.size() > num_lookaheads;
    if (options_.lookahead && depth == 0 && !inner && !flags_.multiline && !flags_.dot_all) {
      if (leading) {
        parsed_.lookaheads.push_back(
            {pattern_.substr(first, last - first), negative, flags_.ignore_case});
        leading_end_ = scanner_.position();
        return std::optional<int>();
      }
      // Whatever matches ends here, so what follows may be read as well.
      if (!negative && (scanner_.AtEnd() || scanner_.Peek() == '|')) return inside;
    }
    return scanner_.Error(at, "look-ahead is not supported here");
  }

  // Whether nothing but ^ and other look-aheads stands before `at`.
  bool OnlyAnchorBefore(size_t at) const {
    return !pattern_.empty() && pattern_[0] == '^' && (at == 1 || at == leading_end_);
  }

  absl::StatusOr<int> ParseQuantifiers(int item) {
    const size_t at = scanner_.position();
    const std::optional<Quantifier> quantifier = TakeQuantifier();
    if (!quantifier.has_value()) return item;
    if (quantifier->max != -1 && quantifier->max < quantifier->min) {
      return scanner_.Error(at, "a repetition has a maximum below its minimum");
    }
    if (std::max(quantifier->min, quantifier->max) > kMaxRepeat) {
      return absl::ResourceExhaustedError("the regular expression repeats too often");
    }
    if (scanner_.TakeIf(U'+')) {
      return scanner_.Error(at, "possessive quantifiers are not supported");
    }
    scanner_.TakeIf(U'?');  // a lazy one accepts the same texts
    const size_t behind = scanner_.position();
    if (TakeQuantifier().has_value()) return scanner_.Error(behind, "a repetition is repeated");
    RegexNode repeat;
    repeat.kind = Kind::kRepeat;
    repeat.min = quantifier->min;
    repeat.max = quantifier->max;
    repeat.children = {item};
    return Add(std::move(repeat));
  }

  std::optional<Quantifier> TakeQuantifier() {
    if (scanner_.TakeIf(U'*')) return Quantifier{0, -1};
    if (scanner_.TakeIf(U'+')) return Quantifier{1, -1};
    if (scanner_.TakeIf(U'?')) return Quantifier{0, 1};
    return TakeCounts();
  }

  // {m}, {m,}, {m,n} or {,n}; anything else in braces is text.
  std::optional<Quantifier> TakeCounts() {
    const size_t begin = scanner_.position();
    if (!scanner_.TakeIf(U'{')) return std::nullopt;
    const std::optional<int> min = TakeNumber();
    std::optional<int> max = min;
    const bool comma = scanner_.TakeIf(U',');
    if (comma) max = TakeNumber();
    if ((min.has_value() || max.has_value()) && scanner_.TakeIf(U'}')) {
      return Quantifier{min.value_or(0), max.value_or(-1)};
    }
    scanner_.Return(begin);
    return std::nullopt;
  }

  // Decimal digits; what is too large becomes kMaxRepeat + 1.
  std::optional<int> TakeNumber() {
    std::optional<int> value;
    while (scanner_.Peek() >= '0' && scanner_.Peek() <= '9') {
      const int digit = static_cast<int>(scanner_.Take() - '0');
      value = std::min(value.value_or(0) * 10 + digit, kMaxRepeat + 1);
    }
    return value;
  }

  RegexScanner scanner_;
  const std::u32string& pattern_;
  const RegexOptions options_;
  const RegularLimits& limits_;
  Flags flags_;
  size_t leading_end_ = 0;  // behind the last leading look-ahead
  ParsedRegex parsed_;
};

}  // namespace

absl::StatusOr<ParsedRegex> ParseRegex(const std::u32string& pattern, const RegexOptions& options,
                                       const RegularLimits& limits) {
  return RegexParser(pattern, options, limits).Parse();
}

}  // namespace sdar::grammar
