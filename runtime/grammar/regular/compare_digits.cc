// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/regular/compare_digits.h"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"

#include "common/status_macros.h"

namespace sdar::grammar {
namespace {

// What is known of a number after some of its characters.
struct NumberPrefix {
  enum class Part : uint8_t { kStart, kZero, kInteger, kPoint, kFraction };
  Part part = Part::kStart;
  int64_t count = 0;    // of digits in this part, up to where they cease to matter
  int64_t verdict = 0;  // of the comparison: -1, 0 or 1; the remainder of a division
  friend bool operator==(const NumberPrefix&, const NumberPrefix&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const NumberPrefix& prefix) {
    return H::combine(std::move(h), prefix.part, prefix.count, prefix.verdict);
  }
};
using Part = NumberPrefix::Part;

// Which part a character begins or continues; nullopt where it may not stand.
std::optional<Part> PartAfter(Part part, char c) {
  if (c == '.') {
    if (part == Part::kZero || part == Part::kInteger) return Part::kPoint;
    return std::nullopt;
  }
  switch (part) {
    case Part::kStart:
      return c == '0' ? Part::kZero : Part::kInteger;
    case Part::kZero:
      return std::nullopt;
    case Part::kInteger:
      return Part::kInteger;
    case Part::kPoint:
    case Part::kFraction:
      return Part::kFraction;
  }
  return std::nullopt;
}

// Builds the automaton whose states are the prefixes that `step` leads to from an empty one.
absl::StatusOr<Dfa> BuildFromPrefixes(
    int max_states, absl::FunctionRef<std::optional<NumberPrefix>(const NumberPrefix&, char)> step,
    absl::FunctionRef<bool(const NumberPrefix&)> accepts) {
  absl::flat_hash_map<NumberPrefix, Dfa::State> numbers = {{NumberPrefix(), 0}};
  std::vector<NumberPrefix> prefixes = {NumberPrefix()};
  EdgeTable edges;
  std::vector<bool> accepting;
  for (size_t i = 0; i < prefixes.size(); ++i) {
    const NumberPrefix prefix = prefixes[i];
    const bool whole = prefix.part != Part::kStart && prefix.part != Part::kPoint;
    accepting.push_back(whole && accepts(prefix));
    edges.AddState();
    for (const char c : {'.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'}) {
      const std::optional<NumberPrefix> next = step(prefix, c);
      if (!next.has_value()) continue;
      const auto [found, fresh] =
          numbers.try_emplace(*next, static_cast<Dfa::State>(prefixes.size()));
      if (fresh) prefixes.push_back(*next);
      const auto code_point = static_cast<char32_t>(c);
      edges.Add({code_point, code_point, found->second});
    }
    if (prefixes.size() > static_cast<size_t>(max_states)) {
      return absl::ResourceExhaustedError("a range of numbers needs too many states");
    }
  }
  return Dfa(0, std::move(edges), std::move(accepting));
}

int64_t Compared(char a, char b) { return a < b ? -1 : a > b ? 1 : 0; }

// Compares what is read with `integer`.`fraction`.
class Comparison {
 public:
  explicit Comparison(const Decimal& bound)
      : integer_(bound.IntegerDigits()), fraction_(bound.FractionDigits()) {}

  std::optional<NumberPrefix> Step(const NumberPrefix& prefix, char c) const {
    const std::optional<Part> part = PartAfter(prefix.part, c);
    if (!part.has_value()) return std::nullopt;
    const auto at = static_cast<size_t>(prefix.count);
    switch (*part) {
      case Part::kZero:
        return NumberPrefix{*part, 1, integer_ == "0" ? 0 : -1};
      case Part::kInteger:
        if (at >= integer_.size()) return NumberPrefix{*part, prefix.count, 1};  // one digit more
        if (integer_ == "0") return NumberPrefix{*part, 1, 1};
        return NumberPrefix{*part, prefix.count + 1,
                            prefix.verdict != 0 ? prefix.verdict : Compared(c, integer_[at])};
      case Part::kPoint:
        return NumberPrefix{*part, 0, IntegerVerdict(prefix)};
      default:
        break;
    }
    if (prefix.verdict != 0) return NumberPrefix{*part, 0, prefix.verdict};
    if (at < fraction_.size()) {
      const int64_t verdict = Compared(c, fraction_[at]);
      return NumberPrefix{*part, verdict == 0 ? prefix.count + 1 : 0, verdict};
    }
    return c == '0' ? NumberPrefix{*part, prefix.count, 0} : NumberPrefix{*part, 0, 1};
  }

  int64_t Verdict(const NumberPrefix& prefix) const {
    if (prefix.part == Part::kFraction) {
      if (prefix.verdict != 0) return prefix.verdict;
      return static_cast<size_t>(prefix.count) < fraction_.size() ? -1 : 0;
    }
    const int64_t verdict = IntegerVerdict(prefix);
    return verdict == 0 && !fraction_.empty() ? -1 : verdict;
  }

 private:
  // How the integer part compares when it ends here.
  int64_t IntegerVerdict(const NumberPrefix& prefix) const {
    if (static_cast<size_t>(prefix.count) < integer_.size()) return -1;
    return prefix.verdict;
  }

  const std::string integer_;
  const std::string fraction_;
};

}  // namespace

Dfa Comparing(const Decimal& bound, const Outcomes& wanted) {
  const Comparison comparison(bound);
  // At most three prefixes for each digit of the bound, which ParseDecimal limits.
  absl::StatusOr<Dfa> dfa = BuildFromPrefixes(
      1 << 20, [&](const NumberPrefix& prefix, char c) { return comparison.Step(prefix, c); },
      [&](const NumberPrefix& prefix) {
        const int64_t verdict = comparison.Verdict(prefix);
        return verdict < 0 ? wanted.less : verdict > 0 ? wanted.greater : wanted.equal;
      });
  return *std::move(dfa);
}

absl::StatusOr<Dfa> Dividing(const Decimal& divisor, const RegularLimits& limits) {
  // A text is a multiple where its digits, with `places` of them after the point, are one of
  // `modulus`.
  const int64_t places = divisor.exponent < 0 ? -divisor.exponent : 0;
  const std::string digits = divisor.exponent < 0 ? divisor.digits : divisor.IntegerDigits();
  int64_t modulus = 0;
  if (!absl::SimpleAtoi(digits, &modulus) || modulus > limits.max_states ||
      (places + 2) * modulus > 20 * int64_t{limits.max_states}) {
    return absl::ResourceExhaustedError("multipleOf has too many digits");
  }
  const auto step = [&](const NumberPrefix& prefix, char c) -> std::optional<NumberPrefix> {
    const std::optional<Part> part = PartAfter(prefix.part, c);
    if (!part.has_value()) return std::nullopt;
    if (*part == Part::kPoint) return NumberPrefix{*part, 0, prefix.verdict};
    if (*part == Part::kFraction && prefix.count == places) {
      if (c != '0') return std::nullopt;
      return NumberPrefix{*part, places, prefix.verdict};
    }
    const int64_t remainder = (prefix.verdict * 10 + (c - '0')) % modulus;
    return NumberPrefix{*part, *part == Part::kFraction ? prefix.count + 1 : 0, remainder};
  };
  const auto accepts = [&](const NumberPrefix& prefix) {
    int64_t remainder = prefix.verdict;
    const int64_t read = prefix.part == Part::kFraction ? prefix.count : 0;
    for (int64_t place = read; place < places; ++place) remainder = remainder * 10 % modulus;
    return remainder == 0;
  };
  return BuildFromPrefixes(limits.max_states, step, accepts);
}

}  // namespace sdar::grammar
