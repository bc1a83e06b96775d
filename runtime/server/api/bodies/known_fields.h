// SPDX-License-Identifier: Apache-2.0
// Fields that clients send although nothing is done for them here. Pure; any thread.
#pragma once

#include "absl/status/status.h"

#include "common/json.h"

namespace sdar {

// Removes from a body the fields that say nothing of the answer, and those whose value asks for
// what is done anyway. InvalidArgument names a field that would change the answer and cannot be
// had, and the values that it may have. The table is docs/api.md's.
absl::Status DropKnownFields(Json& body);

}  // namespace sdar
