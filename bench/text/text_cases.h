// SPDX-License-Identifier: Apache-2.0
// What sdar-text-bench times: every reader of users' text, for ordinary inputs and for inputs that
// are made to be slow.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "runtime/text/text_codec.h"

namespace sdar {

struct TextCase {
  std::string reader;                       // "JSON", "template", ...
  std::string input;                        // what the text is made of
  std::function<std::string(size_t)> make;  // a text of about this many bytes
  std::function<absl::Status(const std::string&)> read;
};

// All cases. Requires: `codec` outlives them.
std::vector<TextCase> MakeTextCases(const TextCodec& codec);

}  // namespace sdar
