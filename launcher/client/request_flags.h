// SPDX-License-Identifier: Apache-2.0
// The flags of sdar-client that are fields of the request: --top-k is the field top_k.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "launcher/flags/flags.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

// What was given for each field, as text, by the field's name. Fields that are not in it are not
// sent: the server's default applies.
using FieldTexts = std::map<std::string, std::vector<std::string>>;

// Adds the flags, which write to `texts`. It must outlive `spec`.
void AddRequestFlags(FieldTexts& texts, FlagSpec& spec);

// Sets the fields of `request`. InvalidArgument names the flag, what was expected and what it got:
// only what the message cannot carry is refused here, for the server knows the real bounds.
absl::Status SetRequestFields(const FieldTexts& texts, sdar::v1::GenerateRequest& request);

}  // namespace sdar
