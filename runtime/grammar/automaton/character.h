// SPDX-License-Identifier: Apache-2.0
// Characters as their bytes come: UTF-8, and in JSON strings the escapes.
#pragma once

#include <cstdint>

#include "absl/container/inlined_vector.h"

namespace sdar::grammar {

// How the characters of a text are written.
enum class Writing : uint8_t {
  kPlain,       // UTF-8
  kJsonString,  // UTF-8 and escapes between the quotes of a JSON string
};

// The bytes of a character that has begun, packed. kNoCharacter: none has.
using BegunCharacter = uint32_t;
inline constexpr BegunCharacter kNoCharacter = 0;

struct CharacterStep {
  enum Kind : uint8_t { kInvalid, kBegun, kComplete } kind = kInvalid;
  uint32_t value = 0;  // the BegunCharacter, or the code point
};

// What `byte` makes of a begun character. Overlong forms, surrogates that stand alone and control
// characters in a JSON string are kInvalid, and so is an unescaped quote.
CharacterStep StepCharacter(Writing writing, BegunCharacter begun, uint8_t byte);

// Code points that a begun character may still become, each with this many bytes still to come.
struct CharacterRange {
  char32_t first = 0;
  char32_t last = 0;
  int cost = 0;
};
using CharacterRanges = absl::InlinedVector<CharacterRange, 12>;

// Where a code point is in several ranges the least cost counts. For kNoCharacter: all characters
// of the writing.
CharacterRanges RangesOf(Writing writing, BegunCharacter begun);

}  // namespace sdar::grammar
