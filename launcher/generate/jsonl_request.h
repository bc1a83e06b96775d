// SPDX-License-Identifier: Apache-2.0
// One line of sdar-generate's input.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/json.h"
#include "runtime/request/request_fields.h"
#include "runtime/text/text_codec.h"

namespace sdar {

struct JsonlRequest {
  Json id;  // as given; the line number where there is none
  std::vector<TokenId> prompt;
  RequestFields fields;
};

// What names a line: its id, or its number where the id is absent or null.
Json IdOfLine(const Json& record, int line_number);

// Reads {"id", "prompt" | "prompt_ids" | "messages" (+ "tools", "enable_thinking"), any sampling
// field}. InvalidArgument names the field, what was expected and what was there; an unknown field
// is one. `id` is set as soon as it is known, also when the rest is wrong.
absl::StatusOr<JsonlRequest> ParseJsonlRequest(absl::string_view line, int line_number,
                                               const TextCodec& text, Json& id);

}  // namespace sdar
