// SPDX-License-Identifier: Apache-2.0
// The error of a request that is longer than a model or its memory allows, which clients recognise.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sdar {

// "This model's maximum context length is LONGEST tokens. GOT", in words that clients of other
// servers look for. `code` is InvalidArgument, or ResourceExhausted where memory is what lacks.
absl::Status ContextLengthExceeded(absl::StatusCode code, int64_t longest, absl::string_view got);

// Whether `status` is such an error, or a copy of it.
bool IsContextLengthExceeded(const absl::Status& status);

}  // namespace sdar
