// SPDX-License-Identifier: Apache-2.0
// Reads a regular expression into a tree.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "runtime/grammar/regular/regex_tree.h"
#include "runtime/grammar/regular/regular_limits.h"

namespace sdar::grammar {

// A look-ahead that stands at the very beginning, behind a ^.
struct LeadingLookahead {
  std::u32string pattern;
  bool negative = false;
  bool ignore_case = false;
};

struct ParsedRegex {
  RegexTree tree;
  // What else has to hold, or must not, of the beginning of the text. Only where the whole pattern
  // is one alternative.
  std::vector<LeadingLookahead> lookaheads;
};

// What a pattern is read for.
struct RegexOptions {
  RegexReading reading = RegexReading::kBoth;
  // Look-ahead is read where it can be had exactly in a search.
  bool lookahead = false;
  bool ignore_case = false;
};

// InvalidArgument: as CompileRegex. ResourceExhausted: too deep.
absl::StatusOr<ParsedRegex> ParseRegex(const std::u32string& pattern, const RegexOptions& options,
                                       const RegularLimits& limits);

}  // namespace sdar::grammar
