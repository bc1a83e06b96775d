// SPDX-License-Identifier: Apache-2.0
// Quotations in error messages, which stay short however long the quoted input is. Pure; any
// thread.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sdar {

// The start of `text` and "..." when it is longer than `max_bytes`, else all of it. At most
// `max_bytes` bytes of `text` are kept; UTF-8 is cut between characters.
std::string Shorten(absl::string_view text, size_t max_bytes = 80);

// InvalidArgument with the start of `message`. For messages that quote input.
absl::Status ShortInvalidArgument(absl::string_view message, size_t max_bytes = 500);

}  // namespace sdar
