// SPDX-License-Identifier: Apache-2.0
// Text of others in one line that looks like what it holds. Pure; any thread.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace sdar {

// The text with everything escaped that could start a line, move the cursor or reorder what is
// shown: control characters as \n, \t, \r or \x1b, line separators and direction marks as \u2028,
// and bytes that are no UTF-8 as \xff. Other text stays as it is, backslashes included.
std::string Printable(absl::string_view text);

// The same for a JSON text without line ends, which stays the same JSON.
std::string PrintableJson(absl::string_view json);

}  // namespace sdar
