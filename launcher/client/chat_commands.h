// SPDX-License-Identifier: Apache-2.0
// What the user types in a chat: a command, which begins with a slash, or a message to the model.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sdar {

enum class ChatVerb {
  kNothing,
  kSay,
  kHelp,
  kSystem,
  kTool,
  kSet,
  kRetry,
  kReset,
  kSave,
  kLoad,
  kQuit,
};

struct ChatCommand {
  ChatVerb verb = ChatVerb::kNothing;
  std::string argument;  // the message, or what follows the command's name, without outer spaces
};

// A slash begins a command, two begin a message with one. InvalidArgument names a command that does
// not exist, lacks its argument, or takes none.
absl::StatusOr<ChatCommand> ParseChatLine(absl::string_view line);

// The commands and keys, one a line.
std::string DescribeCommands();

}  // namespace sdar
