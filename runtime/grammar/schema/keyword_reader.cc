// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/schema/keyword_reader.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/grammar/regular/dfa_operations.h"
#include "runtime/grammar/regular/formats.h"
#include "runtime/grammar/regular/regex.h"
#include "runtime/grammar/schema/shape_algebra.h"

namespace sdar::grammar {
namespace {

constexpr char kPlainNumber[] = "-?(0|[1-9][0-9]*)(\\.[0-9]+)?";
constexpr char kPlainInteger[] = "-?(0|[1-9][0-9]*)";

// A number as a decimal text; nothing where it is none.
std::optional<std::string> DecimalText(const Json& value) {
  if (value.is_number()) return DumpJson(value);
  return BigIntegerDigits(value);
}

bool HasAny(const Json& schema, std::initializer_list<const char*> keywords) {
  return std::any_of(keywords.begin(), keywords.end(),
                     [&](const char* keyword) { return schema.contains(keyword); });
}

absl::Status Wrong(absl::string_view keyword, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(keyword, " is not ", what));
}

}  // namespace

absl::StatusOr<NumberSet> KeywordReader::Numbers(const NumberRange& range,
                                                 NumberSet::Judged judged) {
  const std::string key =
      absl::StrCat(range.lower.value_or("-"), " ", range.upper.value_or("-"), " ",
                   range.lower_exclusive, range.upper_exclusive, range.integer,
                   range.allow_integral_fraction, " ", range.multiple_of.value_or("-"));
  if (const auto found = numbers_.find(key); found != numbers_.end()) return found->second;
  SDAR_ASSIGN_OR_RETURN(Dfa dfa, NumberDfa(range, limits_.regular));
  const NumberSet set = {languages_.Add(std::move(dfa)), judged};
  numbers_[key] = set;
  return set;
}

absl::StatusOr<NumberSet> KeywordReader::AllNumbers(NumberSet::Judged judged) {
  if (judged == NumberSet::kAllTexts) return Numbers({}, judged);
  const char* key = judged == NumberSet::kPlain ? "plain" : "normalized";
  if (const auto found = numbers_.find(key); found != numbers_.end()) return found->second;
  NumberSet set;
  set.judged = judged;
  if (judged == NumberSet::kPlain) {
    SDAR_ASSIGN_OR_RETURN(Dfa dfa, CompileRegex(kPlainNumber, RegexUse::kWholeText));
    set.texts = languages_.Add(std::move(dfa));
  } else {
    NumberRange negative;
    negative.upper = "0";
    NumberRange positive;
    positive.lower = "0";
    SDAR_ASSIGN_OR_RETURN(const NumberSet below, Numbers(negative, judged));
    SDAR_ASSIGN_OR_RETURN(const NumberSet above, Numbers(positive, judged));
    SDAR_ASSIGN_OR_RETURN(set.texts, languages_.Union(below.texts, above.texts));
  }
  numbers_[key] = set;
  return set;
}

absl::StatusOr<Expansion> KeywordReader::Anything() {
  Expansion result;
  result.takes_null = result.takes_true = result.takes_false = true;
  SDAR_ASSIGN_OR_RETURN(result.numbers, AllNumbers(NumberSet::kAllTexts));
  result.strings = kAnyText;
  result.objects.push_back(std::make_shared<const ObjectShape>(AnyObject()));
  result.arrays.push_back(std::make_shared<const ArrayShape>());
  return result;
}

absl::StatusOr<Expansion> KeywordReader::Read(const Json& schema) {
  SDAR_ASSIGN_OR_RETURN(Expansion result, Anything());
  SDAR_RETURN_IF_ERROR(ReadTypes(schema, result));
  if (result.numbers.texts != kNoLanguage) SDAR_RETURN_IF_ERROR(ReadNumbers(schema, result));
  if (result.strings != kNoLanguage) SDAR_RETURN_IF_ERROR(ReadStrings(schema, result));
  const auto no_probe = [](FormulaId formula) { return formula == kNothing; };
  ShapeAlgebra algebra(formulas_, languages_, limits_);
  if (!result.objects.empty()) {
    SDAR_ASSIGN_OR_RETURN(ObjectShape shape, ReadObject(schema));
    SDAR_ASSIGN_OR_RETURN(const std::vector<ObjectShape> settled,
                          algebra.Settled(std::move(shape), no_probe));
    result.objects.clear();
    for (const ObjectShape& one : settled) {
      result.objects.push_back(std::make_shared<const ObjectShape>(one));
    }
  }
  if (!result.arrays.empty()) {
    SDAR_ASSIGN_OR_RETURN(ArrayShape shape, ReadArray(schema));
    result.arrays.clear();
    if (algebra.Settle(shape, no_probe)) {
      result.arrays.push_back(std::make_shared<const ArrayShape>(std::move(shape)));
    }
  }
  return result;
}

absl::Status KeywordReader::ReadTypes(const Json& schema, Expansion& result) {
  const auto found = schema.find("type");
  if (found == schema.end()) return absl::OkStatus();
  const Json types = found->is_array() ? *found : Json::array({*found});
  const Expansion all = std::exchange(result, Expansion());
  for (const Json& type : types) {
    if (!type.is_string()) return Wrong("type", "a string or a list of strings");
    const std::string& name = type.get_ref<const std::string&>();
    if (name == "null") {
      result.takes_null = true;
    } else if (name == "boolean") {
      result.takes_true = result.takes_false = true;
    } else if (name == "string") {
      result.strings = all.strings;
    } else if (name == "object") {
      result.objects = all.objects;
    } else if (name == "array") {
      result.arrays = all.arrays;
    } else if (name == "number") {
      result.numbers = all.numbers;
    } else if (name == "integer") {
      if (result.numbers.texts != kNoLanguage) continue;
      if (document_.draft() == Draft::k4) {
        SDAR_ASSIGN_OR_RETURN(Dfa dfa, CompileRegex(kPlainInteger, RegexUse::kWholeText));
        result.numbers = {languages_.Add(std::move(dfa)), NumberSet::kAllTexts};
      } else {
        NumberRange range;
        range.integer = true;
        SDAR_ASSIGN_OR_RETURN(result.numbers, Numbers(range, NumberSet::kNormalized));
      }
    } else {
      return absl::InvalidArgumentError(absl::StrCat("type: there is no type ", name));
    }
  }
  return absl::OkStatus();
}

absl::Status KeywordReader::ReadNumbers(const Json& schema, Expansion& result) {
  NumberRange range;
  for (const auto& [keyword, exclusive, bound, is_exclusive] :
       {std::make_tuple("minimum", "exclusiveMinimum", &range.lower, &range.lower_exclusive),
        std::make_tuple("maximum", "exclusiveMaximum", &range.upper, &range.upper_exclusive)}) {
    if (schema.contains(keyword)) {
      *bound = DecimalText(schema[keyword]);
      if (!*bound) return Wrong(keyword, "a number");
    }
    if (!schema.contains(exclusive)) continue;
    if (document_.draft() == Draft::k4) {
      if (!schema[exclusive].is_boolean()) return Wrong(exclusive, "true or false, as in draft 4");
      *is_exclusive = schema[exclusive].get<bool>();
      continue;
    }
    NumberRange other;
    const bool upper = bound == &range.upper;
    (upper ? other.upper : other.lower) = DecimalText(schema[exclusive]);
    (upper ? other.upper_exclusive : other.lower_exclusive) = true;
    if (!(upper ? other.upper : other.lower)) return Wrong(exclusive, "a number");
    SDAR_ASSIGN_OR_RETURN(const NumberSet set, Numbers(other, NumberSet::kNormalized));
    SDAR_ASSIGN_OR_RETURN(result.numbers.texts,
                          languages_.Intersect(result.numbers.texts, set.texts));
    result.numbers.judged = std::max(result.numbers.judged, set.judged);
  }
  const auto add = [&](const NumberRange& wanted, NumberSet::Judged judged) -> absl::Status {
    SDAR_ASSIGN_OR_RETURN(const NumberSet set, Numbers(wanted, judged));
    SDAR_ASSIGN_OR_RETURN(result.numbers.texts,
                          languages_.Intersect(result.numbers.texts, set.texts));
    result.numbers.judged = std::max(result.numbers.judged, judged);
    return absl::OkStatus();
  };
  if (range.lower || range.upper) SDAR_RETURN_IF_ERROR(add(range, NumberSet::kNormalized));
  if (schema.contains("multipleOf")) {
    NumberRange multiple;
    multiple.multiple_of = DecimalText(schema["multipleOf"]);
    if (!multiple.multiple_of) return Wrong("multipleOf", "a number");
    const absl::Status status = add(multiple, NumberSet::kPlain);
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("multipleOf: ", status.message()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<LanguageId> KeywordReader::Pattern(const std::string& pattern) {
  if (const auto found = patterns_.find(pattern); found != patterns_.end()) return found->second;
  absl::StatusOr<Dfa> dfa = CompileRegex(pattern, RegexUse::kSearch, limits_.regular);
  if (!dfa.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("pattern: ", dfa.status().message()));
  }
  return patterns_[pattern] = languages_.Add(*std::move(dfa));
}

absl::StatusOr<int64_t> KeywordReader::Count(const Json& schema, const char* keyword,
                                             int64_t otherwise) {
  const auto found = schema.find(keyword);
  if (found == schema.end()) return otherwise;
  if (BigIntegerDigits(*found)) {
    if (otherwise == -1) return -1;
    return absl::InvalidArgumentError(absl::StrCat(keyword, " is too large"));
  }
  if (!found->is_number()) return Wrong(keyword, "a number");
  const double value = found->get<double>();
  if (value < 0 || value != std::floor(value)) return Wrong(keyword, "a count");
  if (value <= static_cast<double>(limits_.max_counted)) return static_cast<int64_t>(value);
  if (otherwise == -1 && value >= 1e9) return -1;  // more than a text can hold
  return absl::InvalidArgumentError(absl::StrCat(keyword, " is too large"));
}

absl::Status KeywordReader::ReadStrings(const Json& schema, Expansion& result) {
  LanguageId& strings = result.strings;
  if (const auto pattern = schema.find("pattern"); pattern != schema.end()) {
    if (!pattern->is_string()) return Wrong("pattern", "a string");
    SDAR_ASSIGN_OR_RETURN(const LanguageId texts, Pattern(pattern->get<std::string>()));
    SDAR_ASSIGN_OR_RETURN(strings, languages_.Intersect(strings, texts));
  }
  if (const auto format = schema.find("format"); format != schema.end() && format->is_string()) {
    const std::string key = absl::StrCat("format ", format->get_ref<const std::string&>());
    if (!patterns_.contains(key)) {
      std::optional<Dfa> dfa = FormatDfa(format->get_ref<const std::string&>());
      patterns_[key] = dfa ? languages_.Add(*std::move(dfa)) : kAnyText;
    }
    SDAR_ASSIGN_OR_RETURN(strings, languages_.Intersect(strings, patterns_[key]));
  }
  if (!HasAny(schema, {"minLength", "maxLength"})) return absl::OkStatus();
  SDAR_ASSIGN_OR_RETURN(const int64_t min, Count(schema, "minLength", 0));
  SDAR_ASSIGN_OR_RETURN(const int64_t max, Count(schema, "maxLength", -1));
  const LanguageId id = languages_.AddLengths({min, max});
  absl::StatusOr<LanguageId> joined = languages_.Intersect(strings, id);
  if (!joined.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("pattern with minLength or maxLength: ", joined.status().message()));
  }
  strings = *joined;
  return absl::OkStatus();
}

}  // namespace sdar::grammar
