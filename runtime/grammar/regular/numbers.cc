// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/regular/numbers.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "common/status_macros.h"
#include "runtime/grammar/regular/compare_digits.h"
#include "runtime/grammar/regular/decimal.h"
#include "runtime/grammar/regular/dfa_operations.h"
#include "runtime/grammar/regular/regex.h"

namespace sdar::grammar {
namespace {

constexpr absl::string_view kNumber = "-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?(?:[eE][+-]?[0-9]+)?";
constexpr int kMaxExponent = 300;  // of doubles, with room

// One bound of an absolute value.
struct Bound {
  Decimal value;
  bool exclusive = false;
};

// What a number without its sign has to be.
struct AbsoluteRange {
  std::optional<Bound> least;
  std::optional<Bound> most;
  bool empty = false;
};

// The part of a range at or above zero, or (mirrored) at or below.
AbsoluteRange HalfOf(std::optional<Bound> lower, std::optional<Bound> upper, bool below) {
  if (below) std::swap(lower, upper);
  AbsoluteRange half;
  if (lower.has_value()) {
    const bool zero = lower->value.IsZero();
    if (zero ? lower->exclusive : lower->value.negative == below) half.least = lower;
  }
  if (upper.has_value()) {
    if (!upper->value.IsZero() && upper->value.negative != below) {
      half.empty = true;
    } else {
      half.most = upper;
    }
  }
  return half;
}

// The texts of an exponent that compare with `value` as wanted: a sign, and zeros in front.
absl::StatusOr<Dfa> ExponentDfa(int64_t value, const Outcomes& wanted,
                                const RegularLimits& limits) {
  SDAR_ASSIGN_OR_RETURN(const Decimal absolute,
                        ParseDecimal(absl::StrCat(value < 0 ? -value : value)));
  SDAR_ASSIGN_OR_RETURN(const Dfa integers,
                        CompileRegex("0|[1-9][0-9]*", RegexUse::kWholeText, limits));
  SDAR_ASSIGN_OR_RETURN(const Dfa zeros, CompileRegex("0*", RegexUse::kWholeText, limits));
  const Outcomes always = {wanted.greater, wanted.greater, wanted.greater};
  const Outcomes never = {wanted.less, wanted.less, wanted.less};
  const Outcomes mirrored = {wanted.greater, wanted.equal, wanted.less};
  // The sign that is not the value's decides alone, but for a zero.
  const bool zero = value == 0;
  Outcomes plus = value < 0 ? always : wanted;
  Outcomes minus = value > 0 ? never : mirrored;
  if (zero) minus = mirrored;
  const auto signed_texts = [&](absl::string_view sign,
                                const Outcomes& outcomes) -> absl::StatusOr<Dfa> {
    SDAR_ASSIGN_OR_RETURN(Dfa texts, Intersect(Comparing(absolute, outcomes), integers, limits));
    SDAR_ASSIGN_OR_RETURN(texts, Concatenate(zeros, texts, limits));
    SDAR_ASSIGN_OR_RETURN(const Dfa signs, CompileRegex(sign, RegexUse::kWholeText, limits));
    return Concatenate(signs, texts, limits);
  };
  SDAR_ASSIGN_OR_RETURN(const Dfa above, signed_texts("\\+?", plus));
  SDAR_ASSIGN_OR_RETURN(const Dfa below, signed_texts("-", minus));
  return Union(above, below, limits);
}

// Numbers that are written with an exponent.
class ScientificTexts {
 public:
  ScientificTexts(bool integer, const RegularLimits& limits) : integer_(integer), limits_(limits) {}

  // Those within a range of absolute values.
  absl::StatusOr<Dfa> Within(const AbsoluteRange& range) const {
    SDAR_ASSIGN_OR_RETURN(const Dfa mantissas, Mantissas());
    SDAR_ASSIGN_OR_RETURN(const Dfa least,
                          ExponentDfa(integer_ ? 16 : -kMaxExponent, {false, true, true}, limits_));
    SDAR_ASSIGN_OR_RETURN(const Dfa most, ExponentDfa(kMaxExponent, {true, true, false}, limits_));
    SDAR_ASSIGN_OR_RETURN(const Dfa exponents, Intersect(least, most, limits_));
    SDAR_ASSIGN_OR_RETURN(Dfa texts, Joined(mantissas, exponents));
    if (range.least.has_value()) {
      SDAR_ASSIGN_OR_RETURN(const Dfa part, Beyond(*range.least, /*above=*/true));
      SDAR_ASSIGN_OR_RETURN(texts, Intersect(texts, part, limits_));
    }
    if (range.most.has_value()) {
      SDAR_ASSIGN_OR_RETURN(const Dfa part, Beyond(*range.most, /*above=*/false));
      SDAR_ASSIGN_OR_RETURN(texts, Intersect(texts, part, limits_));
    }
    return texts;
  }

 private:
  absl::StatusOr<Dfa> Mantissas() const {
    return CompileRegex(integer_ ? "[1-9](?:\\.[0-9]{1,16})?" : "[1-9](?:\\.[0-9]+)?",
                        RegexUse::kWholeText, limits_);
  }

  absl::StatusOr<Dfa> Joined(const Dfa& mantissas, const Dfa& exponents) const {
    SDAR_ASSIGN_OR_RETURN(const Dfa e, CompileRegex("[eE]", RegexUse::kWholeText, limits_));
    SDAR_ASSIGN_OR_RETURN(const Dfa tail, Concatenate(e, exponents, limits_));
    return Concatenate(mantissas, tail, limits_);
  }

  // Texts on one side of a bound: their exponent decides, and where it is the bound's the mantissa.
  absl::StatusOr<Dfa> Beyond(const Bound& bound, bool above) const {
    SDAR_ASSIGN_OR_RETURN(const Dfa mantissas, Mantissas());
    if (bound.value.IsZero()) {
      if (!above) return Dfa();
      SDAR_ASSIGN_OR_RETURN(const Dfa any, ExponentDfa(0, {true, true, true}, limits_));
      return Joined(mantissas, any);
    }
    const int64_t magnitude = bound.value.Magnitude();
    Decimal mantissa = bound.value;
    mantissa.exponent -= magnitude;
    const Outcomes outside = {!above, false, above};
    const Outcomes inside = {!above, !bound.exclusive, above};
    SDAR_ASSIGN_OR_RETURN(const Dfa far, ExponentDfa(magnitude, outside, limits_));
    SDAR_ASSIGN_OR_RETURN(const Dfa near, ExponentDfa(magnitude, {false, true, false}, limits_));
    SDAR_ASSIGN_OR_RETURN(const Dfa some,
                          Intersect(mantissas, Comparing(mantissa, inside), limits_));
    SDAR_ASSIGN_OR_RETURN(const Dfa by_exponent, Joined(mantissas, far));
    SDAR_ASSIGN_OR_RETURN(const Dfa by_mantissa, Joined(some, near));
    return Union(by_exponent, by_mantissa, limits_);
  }

  const bool integer_;
  const RegularLimits& limits_;
};

// Texts without a sign, of numbers in one half of a range.
absl::StatusOr<Dfa> HalfDfa(const NumberRange& range, const AbsoluteRange& half,
                            const std::optional<Decimal>& divisor, const RegularLimits& limits) {
  if (half.empty) return Dfa();
  const absl::string_view shape = !range.integer ? "(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?"
                                  : range.allow_integral_fraction ? "(?:0|[1-9][0-9]*)(?:\\.0+)?"
                                                                  : "0|[1-9][0-9]*";
  SDAR_ASSIGN_OR_RETURN(Dfa texts, CompileRegex(shape, RegexUse::kWholeText, limits));
  if (half.least.has_value()) {
    const Outcomes wanted = {false, !half.least->exclusive, true};
    SDAR_ASSIGN_OR_RETURN(texts, Intersect(texts, Comparing(half.least->value, wanted), limits));
  }
  if (half.most.has_value()) {
    const Outcomes wanted = {true, !half.most->exclusive, false};
    SDAR_ASSIGN_OR_RETURN(texts, Intersect(texts, Comparing(half.most->value, wanted), limits));
  }
  if (divisor.has_value()) {
    SDAR_ASSIGN_OR_RETURN(const Dfa multiples, Dividing(*divisor, limits));
    return Intersect(texts, multiples, limits);
  }
  if (range.integer && !range.allow_integral_fraction) return texts;
  SDAR_ASSIGN_OR_RETURN(const Dfa scientific, ScientificTexts(range.integer, limits).Within(half));
  return Union(texts, scientific, limits);
}

absl::StatusOr<std::optional<Bound>> BoundOf(const std::optional<std::string>& text,
                                             bool exclusive) {
  if (!text.has_value()) return std::optional<Bound>();
  SDAR_ASSIGN_OR_RETURN(Decimal value, ParseDecimal(*text));
  return std::optional<Bound>(Bound{std::move(value), exclusive});
}

}  // namespace

absl::StatusOr<Dfa> NumberDfa(const NumberRange& range, const RegularLimits& limits) {
  SDAR_ASSIGN_OR_RETURN(const std::optional<Bound> lower,
                        BoundOf(range.lower, range.lower_exclusive));
  SDAR_ASSIGN_OR_RETURN(const std::optional<Bound> upper,
                        BoundOf(range.upper, range.upper_exclusive));
  std::optional<Decimal> divisor;
  if (range.multiple_of.has_value()) {
    SDAR_ASSIGN_OR_RETURN(divisor, ParseDecimal(*range.multiple_of));
    if (divisor->IsZero() || divisor->negative) {
      return absl::InvalidArgumentError("multipleOf must be more than zero");
    }
  }
  if (!lower.has_value() && !upper.has_value() && !divisor.has_value() && !range.integer) {
    return CompileRegex(kNumber, RegexUse::kWholeText, limits);
  }
  SDAR_ASSIGN_OR_RETURN(const Dfa above,
                        HalfDfa(range, HalfOf(lower, upper, false), divisor, limits));
  SDAR_ASSIGN_OR_RETURN(const Dfa below,
                        HalfDfa(range, HalfOf(lower, upper, true), divisor, limits));
  SDAR_ASSIGN_OR_RETURN(const Dfa minus, Literal("-", limits));
  SDAR_ASSIGN_OR_RETURN(const Dfa negative, Concatenate(minus, below, limits));
  return Union(above, negative, limits);
}

}  // namespace sdar::grammar
