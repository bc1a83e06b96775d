// SPDX-License-Identifier: Apache-2.0
// What can be done with regular languages, and asked of them. All of it is bounded: a result that
// would exceed `limits` is ResourceExhausted. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "runtime/grammar/regular/dfa.h"
#include "runtime/grammar/regular/regular_limits.h"

namespace sdar::grammar {

// Every text.
Dfa AnyText();
// One text, and texts of a list. Invalid UTF-8 is InvalidArgument.
absl::StatusOr<Dfa> Literal(absl::string_view text, const RegularLimits& limits = {});
absl::StatusOr<Dfa> AnyOf(absl::Span<const std::string> texts, const RegularLimits& limits = {});
// Texts of min .. max characters, max -1: without a limit. Takes a state for each character up to
// the larger of the two: count longer texts beside the automaton. Negative otherwise or max < min:
// the empty language.
absl::StatusOr<Dfa> LengthBetween(int64_t min, int64_t max, const RegularLimits& limits = {});

absl::StatusOr<Dfa> Intersect(const Dfa& a, const Dfa& b, const RegularLimits& limits = {});
absl::StatusOr<Dfa> Union(const Dfa& a, const Dfa& b, const RegularLimits& limits = {});
// Texts of `a` that are not in `b`.
absl::StatusOr<Dfa> Subtract(const Dfa& a, const Dfa& b, const RegularLimits& limits = {});
// Every text (of Unicode scalar values) that is not in `a`.
Dfa Complement(const Dfa& a);
// A text of `a`, then one of `b`.
absl::StatusOr<Dfa> Concatenate(const Dfa& a, const Dfa& b, const RegularLimits& limits = {});
// Any number of texts of `a`, none too.
absl::StatusOr<Dfa> Repeat(const Dfa& a, const RegularLimits& limits = {});

bool IsEmpty(const Dfa& dfa);
// Whether every text is in the language.
bool IsAnyText(const Dfa& dfa);
// Whether the language has the text; false for invalid UTF-8.
bool Contains(const Dfa& dfa, absl::string_view text);
// Whether every text of `a` is in `b`. Pairs of states are visited; false too where these exceed
// the limits, so true is always right.
bool IsSubset(const Dfa& a, const Dfa& b, const RegularLimits& limits = {});
// Whether no text is in both; false too where this would take more than the limits.
bool AreDisjoint(const Dfa& a, const Dfa& b, const RegularLimits& limits = {});
// The number of characters of a shortest text; -1 when there is none.
int64_t ShortestLength(const Dfa& dfa);
// The number of characters of a longest text; -1 without a limit or when there is none.
int64_t LongestLength(const Dfa& dfa);

}  // namespace sdar::grammar
