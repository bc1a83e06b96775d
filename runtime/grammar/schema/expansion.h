// SPDX-License-Identifier: Apache-2.0
// The values that a formula takes, kind by kind.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/grammar/schema/formula_table.h"
#include "runtime/grammar/schema/language_pool.h"

namespace sdar::grammar {

struct NamedProperty {
  std::string name;
  FormulaId value = kEverything;
  bool required = false;
};

struct OtherProperties {
  LanguageId names = kAnyText;
  FormulaId value = kEverything;
};

// One way to read an object.
struct ObjectShape {
  std::vector<NamedProperty> named;                          // by name
  std::vector<OtherProperties> others;                       // disjoint; of names not in `named`
  std::vector<OtherProperties> some;                         // one such property must be there
  std::vector<std::pair<std::string, std::string>> implied;  // with the first goes the second
  int64_t min = 0;
  int64_t max = -1;
};

struct CountedElements {
  int64_t from = 0;  // elements at this place and later
  FormulaId value = kEverything;
  int64_t min = 0;
  int64_t max = -1;
};

// One way to read an array.
struct ArrayShape {
  std::vector<FormulaId> prefix;
  FormulaId rest = kEverything;
  int64_t min = 0;
  int64_t max = -1;
  bool unique = false;
  std::vector<CountedElements> counted;
};

// Texts of numbers. What a language of numbers leaves out is told apart by value only among the
// texts that its parts judge by value.
struct NumberSet {
  enum Judged : uint8_t {
    kAllTexts,
    kNormalized,  // an exponent follows one digit that is not 0
    kPlain,       // no exponent
  };
  LanguageId texts = kNoLanguage;
  Judged judged = kAllTexts;
};

using ObjectShapes = std::vector<std::shared_ptr<const ObjectShape>>;
using ArrayShapes = std::vector<std::shared_ptr<const ArrayShape>>;

struct Expansion {
  bool takes_null = false;
  bool takes_true = false;
  bool takes_false = false;
  NumberSet numbers;
  LanguageId strings = kNoLanguage;
  ObjectShapes objects;
  ArrayShapes arrays;

  bool IsNothing() const {
    return !takes_null && !takes_true && !takes_false && numbers.texts == kNoLanguage &&
           strings == kNoLanguage && objects.empty() && arrays.empty();
  }
};

}  // namespace sdar::grammar
