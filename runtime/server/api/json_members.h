// SPDX-License-Identifier: Apache-2.0
// Reads a JSON object that is passed on rather than computed with: what a tree would round is kept.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sdar {

struct JsonMember {
  std::string name;
  std::string value;  // JSON as it was written, without white space between its tokens
};

// The members of the one object that `text` is, in order, equal names included. InvalidArgument
// begins with `source`: the text is no JSON object, or nests deeper than `max_depth`. Linear.
absl::StatusOr<std::vector<JsonMember>> ReadJsonMembers(absl::string_view text,
                                                        absl::string_view source,
                                                        int max_depth = 64);

}  // namespace sdar
