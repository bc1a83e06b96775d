// SPDX-License-Identifier: Apache-2.0
// The part of KeywordReader that is about objects, arrays, and values that a schema lists.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/grammar/regular/dfa_operations.h"
#include "runtime/grammar/schema/keyword_reader.h"
#include "runtime/grammar/schema/shape_algebra.h"

namespace sdar::grammar {
namespace {

NamedProperty& Named(ObjectShape& shape, const std::string& name, FormulaId otherwise) {
  auto at = std::lower_bound(
      shape.named.begin(), shape.named.end(), name,
      [](const NamedProperty& property, const std::string& key) { return property.name < key; });
  if (at == shape.named.end() || at->name != name) {
    at = shape.named.insert(at, {name, otherwise, false});
  }
  return *at;
}

absl::Status WrongKind(absl::string_view keyword, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(keyword, " is not ", what));
}

}  // namespace

absl::StatusOr<ObjectShape> KeywordReader::ReadObject(const Json& schema) {
  ObjectShape shape = AnyObject();
  SDAR_ASSIGN_OR_RETURN(shape.min, Count(schema, "minProperties", 0));
  SDAR_ASSIGN_OR_RETURN(shape.max, Count(schema, "maxProperties", -1));
  SDAR_RETURN_IF_ERROR(ReadProperties(schema, shape));
  SDAR_RETURN_IF_ERROR(ReadRequired(schema, shape));
  SDAR_RETURN_IF_ERROR(ReadDependentRequired(schema, shape));
  return shape;
}

// Patterns part the names into classes: for each set of patterns the names that match just these.
absl::Status KeywordReader::ReadProperties(const Json& schema, ObjectShape& shape) {
  const auto additional = schema.find("additionalProperties");
  const FormulaId rest = additional == schema.end() ? kEverything : FormulaOf(*additional);
  shape.others = {{kAnyText, rest}};
  std::vector<std::pair<LanguageId, FormulaId>> patterns;
  if (const auto found = schema.find("patternProperties"); found != schema.end()) {
    if (!found->is_object()) return WrongKind("patternProperties", "an object");
    for (const auto& [pattern, value] : found->items()) {
      SDAR_ASSIGN_OR_RETURN(const LanguageId names, Pattern(pattern));
      const FormulaId formula = FormulaOf(value);
      patterns.emplace_back(names, formula);
      std::vector<OtherProperties> parted;
      for (size_t i = 0; i < shape.others.size(); ++i) {
        const OtherProperties& old = shape.others[i];
        const bool unmatched = i + 1 == shape.others.size();  // the class of additional names
        SDAR_ASSIGN_OR_RETURN(const LanguageId both, languages_.Intersect(old.names, names));
        SDAR_ASSIGN_OR_RETURN(const LanguageId without, languages_.Subtract(old.names, names));
        if (both != kNoLanguage) {
          parted.push_back({both, unmatched ? formula : formulas_.All(old.value, formula)});
        }
        if (without != kNoLanguage || unmatched) parted.push_back({without, old.value});
      }
      shape.others = std::move(parted);
      if (shape.others.size() > 64) {
        return absl::InvalidArgumentError("patternProperties: too many patterns");
      }
    }
  }
  std::erase_if(shape.others, [](const OtherProperties& others) {
    return others.names == kNoLanguage || others.value == kNothing;
  });
  const auto properties = schema.find("properties");
  if (properties == schema.end()) return absl::OkStatus();
  if (!properties->is_object()) return WrongKind("properties", "an object");
  for (const auto& [name, value] : properties->items()) {
    FormulaId formula = FormulaOf(value);
    for (const auto& [names, wanted] : patterns) {
      if (languages_.Has(names, name)) formula = formulas_.All(formula, wanted);
    }
    shape.named.push_back({name, formula, false});
  }
  std::sort(shape.named.begin(), shape.named.end(),
            [](const NamedProperty& a, const NamedProperty& b) { return a.name < b.name; });
  return absl::OkStatus();
}

absl::Status KeywordReader::ReadRequired(const Json& schema, ObjectShape& shape) {
  const auto required = schema.find("required");
  if (required == schema.end()) return absl::OkStatus();
  if (!required->is_array()) return WrongKind("required", "a list");
  for (const Json& name : *required) {
    if (!name.is_string()) return WrongKind("required", "a list of strings");
    const std::string& key = name.get_ref<const std::string&>();
    FormulaId value = kNothing;
    for (const OtherProperties& others : shape.others) {
      if (languages_.Has(others.names, key)) value = others.value;
    }
    Named(shape, key, value).required = true;
  }
  return absl::OkStatus();
}

absl::Status KeywordReader::ReadDependentRequired(const Json& schema, ObjectShape& shape) {
  const bool old = document_.draft() < Draft::k2019;
  const char* keyword = old ? "dependencies" : "dependentRequired";
  const auto found = schema.find(keyword);
  if (found == schema.end()) return absl::OkStatus();
  if (!found->is_object()) return WrongKind(keyword, "an object");
  std::set<std::pair<std::string, std::string>> implied;
  for (const auto& [name, others] : found->items()) {
    if (!others.is_array()) {
      if (old && (others.is_object() || others.is_boolean())) continue;  // Expander's
      return WrongKind(keyword, "a list of names for each property");
    }
    for (const Json& other : others) {
      if (!other.is_string()) return WrongKind(keyword, "a list of names for each property");
      const std::string& key = other.get_ref<const std::string&>();
      if (key == name) continue;
      implied.emplace(name, key);
      for (const std::string& one : {name, key}) {
        FormulaId value = kNothing;
        for (const OtherProperties& rest : shape.others) {
          if (languages_.Has(rest.names, one)) value = rest.value;
        }
        Named(shape, one, value);
      }
    }
  }
  shape.implied.assign(implied.begin(), implied.end());
  return absl::OkStatus();
}

absl::StatusOr<ArrayShape> KeywordReader::ReadArray(const Json& schema) {
  ArrayShape shape;
  SDAR_RETURN_IF_ERROR(ReadItems(schema, shape));
  SDAR_RETURN_IF_ERROR(ReadContains(schema, shape));
  SDAR_ASSIGN_OR_RETURN(shape.min, Count(schema, "minItems", 0));
  SDAR_ASSIGN_OR_RETURN(shape.max, Count(schema, "maxItems", -1));
  shape.unique = schema.contains("uniqueItems") && schema["uniqueItems"] == true;
  return shape;
}

absl::Status KeywordReader::ReadItems(const Json& schema, ArrayShape& shape) {
  const bool is_2020 = document_.draft() == Draft::k2020;
  const char* tuple_keyword = is_2020 ? "prefixItems" : "items";
  const char* rest_keyword = is_2020 ? "items" : "additionalItems";
  const auto items = schema.find("items");
  if (!is_2020 && items != schema.end() && !items->is_array()) {
    shape.rest = FormulaOf(*items);
    return absl::OkStatus();
  }
  const auto tuple = schema.find(tuple_keyword);
  if (tuple != schema.end()) {
    if (!tuple->is_array()) return WrongKind(tuple_keyword, "a list");
    for (const Json& element : *tuple) shape.prefix.push_back(FormulaOf(element));
  } else if (!is_2020) {
    return absl::OkStatus();  // additionalItems means nothing alone
  }
  if (const auto rest = schema.find(rest_keyword); rest != schema.end()) {
    if (rest->is_array()) {
      return absl::InvalidArgumentError("items is a list, which is prefixItems from 2020-12 on");
    }
    shape.rest = FormulaOf(*rest);
  }
  return absl::OkStatus();
}

absl::Status KeywordReader::ReadContains(const Json& schema, ArrayShape& shape) {
  if (document_.draft() == Draft::k4 || !schema.contains("contains")) return absl::OkStatus();
  CountedElements counted;
  counted.value = FormulaOf(schema["contains"]);
  counted.min = 1;
  if (document_.draft() >= Draft::k2019) {
    SDAR_ASSIGN_OR_RETURN(counted.min, Count(schema, "minContains", 1));
    SDAR_ASSIGN_OR_RETURN(counted.max, Count(schema, "maxContains", -1));
  }
  shape.counted.push_back(counted);
  return absl::OkStatus();
}

absl::StatusOr<Expansion> KeywordReader::ReadValues(const Json& schema) {
  if (schema.contains("const") && document_.draft() > Draft::k4) {
    return OneValue(schema["const"], schema);
  }
  if (!schema.contains("enum")) return Anything();
  if (!schema["enum"].is_array()) return WrongKind("enum", "a list");
  Expansion result;
  std::vector<std::string> texts;
  for (const Json& value : schema["enum"]) {
    if (value.is_string()) {
      texts.push_back(value.get<std::string>());
      continue;
    }
    SDAR_ASSIGN_OR_RETURN(const Expansion one, OneValue(value, schema));
    result.takes_null |= one.takes_null;
    result.takes_true |= one.takes_true;
    result.takes_false |= one.takes_false;
    SDAR_ASSIGN_OR_RETURN(result.numbers.texts,
                          languages_.Union(result.numbers.texts, one.numbers.texts));
    result.numbers.judged = std::max(result.numbers.judged, one.numbers.judged);
    result.objects.insert(result.objects.end(), one.objects.begin(), one.objects.end());
    result.arrays.insert(result.arrays.end(), one.arrays.begin(), one.arrays.end());
  }
  SDAR_ASSIGN_OR_RETURN(Dfa strings, AnyOf(texts, limits_.regular));
  result.strings = languages_.Add(std::move(strings));
  return result;
}

// Lists and objects become schemas of their own, so that numbers in them count by value and
// properties come in any order.
absl::StatusOr<Expansion> KeywordReader::OneValue(const Json& value, const Json& schema) {
  Expansion result;
  const auto formula = [&](const Json& inner) {
    return formulas_.Schema(document_.Keep({{"enum", Json::array({inner})}}, &schema));
  };
  if (value.is_null()) {
    result.takes_null = true;
  } else if (value.is_boolean()) {
    (value.get<bool>() ? result.takes_true : result.takes_false) = true;
  } else if (value.is_string()) {
    SDAR_ASSIGN_OR_RETURN(Dfa dfa, Literal(value.get_ref<const std::string&>(), limits_.regular));
    result.strings = languages_.Add(std::move(dfa));
  } else if (value.is_object()) {
    ObjectShape shape;
    for (const auto& [name, inner] : value.items()) {
      NamedProperty& property = Named(shape, name, kEverything);
      property.value = formula(inner);
      property.required = true;
    }
    result.objects.push_back(std::make_shared<const ObjectShape>(std::move(shape)));
  } else if (value.is_array()) {
    ArrayShape shape;
    for (const Json& inner : value) shape.prefix.push_back(formula(inner));
    shape.rest = kNothing;
    shape.min = shape.max = static_cast<int64_t>(value.size());
    result.arrays.push_back(std::make_shared<const ArrayShape>(std::move(shape)));
  } else {
    NumberRange range;
    range.lower = range.upper = value.is_number() ? DumpJson(value) : BigIntegerDigits(value);
    SDAR_ASSIGN_OR_RETURN(result.numbers, Numbers(range, NumberSet::kNormalized));
  }
  return result;
}

}  // namespace sdar::grammar
