// SPDX-License-Identifier: Apache-2.0
// The frames of an automaton's stack, and how they are packed into words.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"

#include "runtime/grammar/automaton/character.h"
#include "runtime/grammar/automaton/json_grammar.h"

namespace sdar::grammar {

// The first word of a frame.
enum class FrameKind : uint32_t {
  kRoot,     // below the value of the whole text
  kUnknown,  // below the frames of a floating state
  kDone,     // the text is complete
  kText,     // a text of its own: `entries` holds one
  kValue,    // a value has to begin
  kString,
  kNumber,
  kLiteral,
  kObject,
  kArray,
};

using FrameWords = std::vector<uint32_t>;

// Texts are sequences of code points; other scalars are one word beyond them.
inline constexpr uint32_t kNullText = 0x200000;
inline constexpr uint32_t kTrueText = 0x200001;
inline constexpr uint32_t kFalseText = 0x200002;
// No text is kept, because none is compared.
inline constexpr uint32_t kOffText = ~0u;
// Values are not compared.
inline constexpr uint32_t kNoTexts = ~0u;

// One of the readings of a scalar or of a value that has to begin. Parents number what their
// readings wait for by slots; a value that ends tells the slots whose readings took it.
struct ScalarEntry {
  uint32_t slot = 0;
  int32_t target = 0;         // a node where a value has to begin, else a ScanDfa
  int32_t state = 0;          // of that ScanDfa
  uint32_t texts = kNoTexts;  // a sequence of texts that the value must differ from
  friend bool operator==(const ScalarEntry&, const ScalarEntry&) = default;
};

// kText, kValue, kString, kNumber and kLiteral.
struct ScalarFrame {
  FrameKind kind = FrameKind::kValue;
  uint32_t at = 0;           // blanks before a value; a BegunCharacter; the place in a literal
  uint32_t text = kOffText;  // a string so far, where it is compared; a literal's text
  absl::InlinedVector<ScalarEntry, 4> entries;

  FrameWords Pack() const;
  static ScalarFrame Unpack(absl::Span<const uint32_t> words);
};

// One reading of an object.
struct ObjectThread {
  uint32_t rule = 0;
  uint32_t slot = 0;
  uint32_t child = 0;      // the node after a key, the slot of the value while it is read
  uint32_t count = 0;      // of properties, or the rule's min where more do not matter
  uint32_t seen = 0;       // a sequence: bits of the named properties
  uint32_t names = 0;      // a sequence of texts: names that must not come again
  uint32_t witnesses = 0;  // bits: found
  absl::InlinedVector<int32_t, 2> states;  // in a key: of the classes' ScanDfas
  friend bool operator==(const ObjectThread&, const ObjectThread&) = default;
};

enum class ObjectPhase : uint32_t { kOpen, kNext, kKey, kAfterKey, kWaiting, kAfterValue };

struct ObjectFrame {
  ObjectPhase phase = ObjectPhase::kOpen;
  uint32_t at = 0;           // blanks, or in a key a BegunCharacter
  uint32_t text = kOffText;  // of the key
  std::vector<ObjectThread> threads;

  FrameWords Pack() const;
  static ObjectFrame Unpack(absl::Span<const uint32_t> words);
};

// One reading of an array.
struct ArrayThread {
  uint32_t rule = 0;
  uint32_t slot = 0;
  uint32_t child = 0;  // the slot of the element while it is read
  uint32_t index = 0;  // elements, or the most that matter; the state where there is a graph
  uint32_t texts = 0;  // a sequence of texts: elements so far, where they are compared
  friend bool operator==(const ArrayThread&, const ArrayThread&) = default;
};

enum class ArrayPhase : uint32_t { kOpen, kWaiting, kAfterValue };

struct ArrayFrame {
  ArrayPhase phase = ArrayPhase::kOpen;
  uint32_t at = 0;  // blanks
  std::vector<ArrayThread> threads;

  FrameWords Pack() const;
  static ArrayFrame Unpack(absl::Span<const uint32_t> words);
};

inline FrameKind KindOf(absl::Span<const uint32_t> words) {
  return static_cast<FrameKind>(words[0]);
}

// What blanks before a token become with one more; -1 where no more are allowed. A run is up to
// kMaxInlineBlanks spaces, then at most one line end and kMaxIndent blanks, so that it ends.
int StepBlank(uint32_t blanks, uint8_t byte);

}  // namespace sdar::grammar
