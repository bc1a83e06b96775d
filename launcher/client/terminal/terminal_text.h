// SPDX-License-Identifier: Apache-2.0
// Text from a model as a terminal may get it.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace sdar {

// Of C0 or C1, or DEL.
bool IsControlCharacter(char32_t code_point);

// Replaces control characters (C0, C1, DEL) except newline and tab, and bytes that are not UTF-8,
// by U+FFFD, so that no answer can move the cursor or set the terminal's title.
std::string ForTerminal(absl::string_view text);

// ForTerminal, with newline as U+23CE and tab as a space: for text inside one line.
std::string ForOneLine(absl::string_view text);

// Columns that a character takes on a terminal; 0 for combining ones.
int ColumnsOf(char32_t code_point);

// Columns of a whole text without control characters.
int ColumnsOf(absl::string_view text);

}  // namespace sdar
