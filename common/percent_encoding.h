// SPDX-License-Identifier: Apache-2.0
// Percent-encoding of URLs (RFC 3986, section 2.1). Pure; any thread.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace sdar {

// The text with every %XX replaced by its byte; a percent sign that begins none stands for itself.
std::string PercentDecoded(absl::string_view text);

}  // namespace sdar
