// SPDX-License-Identifier: Apache-2.0
// A tool call that is passed on while it is being written. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace sdar {

// A longer beginning than this is none that is streamed.
inline constexpr size_t kMaxToolCallHead = 256;

struct ToolCallHead {
  enum class State {
    kIncomplete,  // more text is needed
    kFound,
    kOther,  // not of this form
  };
  State state = State::kOther;
  std::string name;   // of the function, not empty
  size_t length = 0;  // of the head, up to the brace that opens the arguments
};

// Reads {"name": "..", "arguments": in front of an opening brace, with white space anywhere between
// the tokens. Looks at kMaxToolCallHead bytes at most.
ToolCallHead ReadToolCallHead(absl::string_view text);

// The arguments of a call: a JSON object that arrives in pieces. Thread-hostile.
class ArgumentsReader {
 public:
  // The part of `text` that belongs to the object, without white space between its tokens. What
  // follows the object's end is left out.
  std::string Push(absl::string_view text);

 private:
  int64_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;  // the next character stands for itself
  bool ended_ = false;
};

}  // namespace sdar
