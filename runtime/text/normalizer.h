// SPDX-License-Identifier: Apache-2.0
// Unicode normalisation form C.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace sdar {

// Whether `text` is surely in form C already: it is ASCII.
bool IsNfc(absl::string_view text);

// Normalises `text`, which must be valid UTF-8, to form C. Linear but for sorting runs of combining
// marks.
std::string NormalizeNfc(absl::string_view text);

}  // namespace sdar
