// SPDX-License-Identifier: Apache-2.0
// The page at /: a chat that shows the block as it is denoised.
#pragma once

#include "absl/strings/string_view.h"

namespace sdar {

// runtime/server/http/page/index.html, which needs nothing else but the server's own API.
absl::string_view PageHtml();

}  // namespace sdar
