// SPDX-License-Identifier: Apache-2.0
// Python's string operations on UTF-8, counted in code points where Python counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sdar {

// Which ends of a string to strip.
enum class StripSide { kLeft, kRight, kBoth };

// str.strip and its kin: `characters` absent strips white space. Linear in both.
absl::string_view PythonStrip(absl::string_view text, StripSide side,
                              std::optional<absl::string_view> characters = std::nullopt);

// Where `part` begins in `text` at or after byte `from`; npos where it does not. Linear.
size_t FindText(absl::string_view text, absl::string_view part, size_t from = 0);
// The last place of `part` in `text`. Linear; takes FindLastBytes of memory.
size_t FindLastText(absl::string_view text, absl::string_view part);
size_t FindLastBytes(absl::string_view part);
// How often `part` stands in `text` without overlap, up to `limit`. limit < 0: none.
// Requires: `part` is not empty.
size_t CountText(absl::string_view text, absl::string_view part, int64_t limit = -1);

// Takes one part of a text; an error ends the splitting and is its result.
using TextSink = absl::FunctionRef<absl::Status(absl::string_view)>;

// str.split(separator, limit); an absent separator splits at runs of white space. limit < 0: none.
// Requires: the separator is not empty.
absl::Status PythonSplit(absl::string_view text, std::optional<absl::string_view> separator,
                         int64_t limit, TextSink sink);
// str.rsplit with a separator, the parts from right to left.
absl::Status PythonRightSplit(absl::string_view text, absl::string_view separator, int64_t limit,
                              TextSink sink);
// str.splitlines().
absl::Status PythonSplitLines(absl::string_view text, TextSink sink);

// str.replace(from, to, limit). limit < 0: none. `size` is that of the result, where known.
std::string PythonReplace(absl::string_view text, absl::string_view from, absl::string_view to,
                          int64_t limit, size_t size = 0);

// Case as str.upper and the like, at most half as long again as `text`; one-to-many mappings only
// for sharp s and Latin ligatures.
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
// Whether every character is ASCII, so that code points are bytes.
bool IsAsciiText(absl::string_view text);

}  // namespace sdar
