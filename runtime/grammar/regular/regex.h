// SPDX-License-Identifier: Apache-2.0
// Regular expressions as automata.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/grammar/regular/dfa.h"
#include "runtime/grammar/regular/regular_limits.h"

namespace sdar::grammar {

enum class RegexUse {
  // The whole text matches, as re.fullmatch of Python.
  kWholeText,
  // Something in the text matches, as `pattern` of JSON Schema.
  kSearch,
};

// The texts that match `pattern`, which is written in what ECMAScript and the re module of Python
// have in common and most of what they have alone; \p{...} too. Where the two read a pattern in two
// ways (\w, \d, \s, `.` and $ beyond ASCII and at line ends, case), a text must match by both.
// Where only one of them has a meaning for it, that one holds; {,n} is read as Python does.
//
// InvalidArgument names what is wrong or not regular, and the character where it stands: look-
// around, back-references, atomic groups, possessive quantifiers, conditions, recursion. Look-ahead
// that follows ^ at the beginning or ends the pattern is had exactly by kSearch.
// ResourceExhausted: more than the limits. Thread-safe.
absl::StatusOr<Dfa> CompileRegex(absl::string_view pattern, RegexUse use,
                                 const RegularLimits& limits = {});

}  // namespace sdar::grammar
