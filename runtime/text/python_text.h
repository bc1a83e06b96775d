// SPDX-License-Identifier: Apache-2.0
// Python's string operations on UTF-8, counted in code points where Python counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sdar {

// Which ends of a string to strip.
enum class StripSide { kLeft, kRight, kBoth };

// str.strip and its kin: `characters` absent strips white space.
absl::string_view PythonStrip(absl::string_view text, StripSide side,
                              std::optional<absl::string_view> characters = std::nullopt);

// str.split(separator, limit); an absent separator splits at runs of white space. limit < 0: none.
// Requires: the separator is not empty.
std::vector<absl::string_view> PythonSplit(absl::string_view text,
                                           std::optional<absl::string_view> separator,
                                           int64_t limit);
// str.rsplit with a separator.
std::vector<absl::string_view> PythonRightSplit(absl::string_view text, absl::string_view separator,
                                                int64_t limit);
// str.splitlines().
std::vector<absl::string_view> PythonSplitLines(absl::string_view text);

// str.replace(from, to, limit). limit < 0: none.
std::string PythonReplace(absl::string_view text, absl::string_view from, absl::string_view to,
                          int64_t limit);

// Case as str.upper and the like; one-to-many mappings only for sharp s and Latin ligatures.
std::string PythonUpper(absl::string_view text);
std::string PythonLower(absl::string_view text);
std::string PythonCapitalize(absl::string_view text);
// str.title: a letter after anything but a letter is upper case.
std::string PythonTitle(absl::string_view text);
// Jinja's title filter: words begin after white space, hyphens and opening brackets.
std::string JinjaTitle(absl::string_view text);

// len(text).
int64_t CountCodePoints(absl::string_view text);
// The code points from `begin` to `end`, 0 <= begin <= end <= CountCodePoints(text).
absl::string_view CodePointRange(absl::string_view text, int64_t begin, int64_t end);

}  // namespace sdar
