// SPDX-License-Identifier: Apache-2.0
// The flags of sdar-client that are fields of the request: --top-k is the field top_k.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

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

// One field while a chat runs. An empty value leaves it to the server again; a list of texts grows
// by one. Errors are as of SetRequestFields and name the field; NotFound: there is none. Then
// `texts` is not to be used.
absl::Status ChangeField(absl::string_view field, absl::string_view value, FieldTexts& texts);

// A line for each field: its name, what was given or "-", and its meaning.
std::string DescribeFields(const FieldTexts& texts);

}  // namespace sdar
