// SPDX-License-Identifier: Apache-2.0
// What headers and metadata say of who asks, which the log repeats. Pure; any thread.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace sdar {

// Whether a request id can be repeated in a header: 1 .. 128 visible ASCII characters.
bool IsPlainRequestId(absl::string_view id);

// The trace id of a W3C `traceparent`, 32 hexadecimal digits; empty for one that is malformed.
// Source: W3C Trace Context, sections 3.2 and 4.3 (later versions may be longer).
std::string TraceIdOf(absl::string_view traceparent);

}  // namespace sdar
