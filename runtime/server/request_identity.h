// SPDX-License-Identifier: Apache-2.0
// What headers and metadata say of who asks, which the log repeats. Any thread.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "runtime/server/traces/span.h"

namespace sdar {

// 32 random hexadecimal digits, which no process has made before. Any thread.
std::string NewIdentifier();
// An id for a call that brings none.
std::string NewRequestId();

// Whether a request id can be repeated in a header: 1 .. 128 visible ASCII characters.
bool IsPlainRequestId(absl::string_view id);
// What refuses another; it does not repeat it.
absl::Status BadRequestId();

// A W3C `traceparent`; without ids for one that is malformed. Source: W3C Trace Context, sections
// 3.2 and 4.3 (later versions may be longer).
TraceParent ParseTraceParent(absl::string_view traceparent);

}  // namespace sdar
