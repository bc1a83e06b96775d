// SPDX-License-Identifier: Apache-2.0
#include "common/context_length.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace sdar {
namespace {

constexpr char kPayload[] = "sdar/context-length-exceeded";

}  // namespace

absl::Status ContextLengthExceeded(absl::StatusCode code, int64_t longest, absl::string_view got) {
  absl::Status status(
      code, absl::StrCat("This model's maximum context length is ", longest, " tokens. ", got));
  status.SetPayload(kPayload, absl::Cord());
  return status;
}

bool IsContextLengthExceeded(const absl::Status& status) {
  return status.GetPayload(kPayload).has_value();
}

}  // namespace sdar
