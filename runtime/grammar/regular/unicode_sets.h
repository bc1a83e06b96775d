// SPDX-License-Identifier: Apache-2.0
// Sets of characters that have names in patterns.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/grammar/regular/code_point_set.h"

namespace sdar::grammar {

// A set that languages of patterns read in two ways. A character that is in `certain` is in both,
// one that is not in `possible` in neither.
struct NamedSet {
  CodePointSet certain;
  CodePointSet possible;
};

// [A-Za-z0-9_], and the letters, numbers and underscore of Unicode.
const CodePointSet& AsciiWord();
const CodePointSet& UnicodeWord();

// \w, \d and \s: ECMAScript and Python, which differ beyond ASCII.
const NamedSet& WordSet();
const NamedSet& DigitSet();
const NamedSet& SpaceSet();

// \p{name}: a general category ("Lu", "L", "gc=Lu"), a script ("Han", "Script=Han", "scx=Han") or a
// binary property as PCRE2 knows them. InvalidArgument for unknown names.
absl::StatusOr<NamedSet> PropertySet(absl::string_view name);

// The characters that a pattern may mean by those of `set` where case does not matter: those that
// differ in case alone by every reading, and by some.
NamedSet IgnoringCase(const CodePointSet& set);

}  // namespace sdar::grammar
