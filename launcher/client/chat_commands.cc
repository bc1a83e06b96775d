// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/chat_commands.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "common/shorten.h"

namespace sdar {
namespace {

enum class Argument { kNone, kMayBe, kNeeded };

struct CommandRow {
  const char* name;
  ChatVerb verb;
  Argument argument;
  const char* shown;  // the argument in the help
  const char* help;
};

constexpr CommandRow kCommands[] = {
    {"help", ChatVerb::kHelp, Argument::kNone, "", "shows this"},
    {"system", ChatVerb::kSystem, Argument::kMayBe, "TEXT",
     "sets the system turn; without TEXT there is none"},
    {"set", ChatVerb::kSet, Argument::kMayBe, "FIELD VALUE",
     "sets a field, or leaves it to the server; alone: lists them"},
    {"retry", ChatVerb::kRetry, Argument::kNone, "", "asks for the last answer again"},
    {"tool", ChatVerb::kTool, Argument::kNeeded, "TEXT", "sends what a tool answered"},
    {"reset", ChatVerb::kReset, Argument::kNone, "", "forgets all but the system turn"},
    {"save", ChatVerb::kSave, Argument::kNeeded, "FILE",
     "writes the conversation, as JSON messages"},
    {"load", ChatVerb::kLoad, Argument::kNeeded, "FILE", "goes on with a conversation so written"},
    {"quit", ChatVerb::kQuit, Argument::kNone, "", "ends, as Ctrl-D does"},
};

}  // namespace

absl::StatusOr<ChatCommand> ParseChatLine(absl::string_view line) {
  if (absl::StripAsciiWhitespace(line).empty()) return ChatCommand{};
  if (line[0] != '/') return ChatCommand{ChatVerb::kSay, std::string(line)};
  line.remove_prefix(1);
  if (!line.empty() && line[0] == '/') return ChatCommand{ChatVerb::kSay, std::string(line)};
  const absl::string_view name = line.substr(0, line.find_first_of(" \t\n"));
  const absl::string_view argument = absl::StripAsciiWhitespace(line.substr(name.size()));
  for (const CommandRow& row : kCommands) {
    if (row.name != name) continue;
    if (row.argument == Argument::kNone && !argument.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("/", name, " takes nothing, got '", Shorten(argument), "'"));
    }
    if (row.argument == Argument::kNeeded && argument.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("/", name, ": expected ", row.shown));
    }
    return ChatCommand{row.verb, std::string(argument)};
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "no command /", Shorten(name), ": /help lists them, // begins a message with a slash"));
}

std::string DescribeCommands() {
  std::string out;
  for (const CommandRow& row : kCommands) {
    absl::StrAppendFormat(&out, "%-18s %s\n", absl::StrCat("/", row.name, " ", row.shown),
                          row.help);
  }
  absl::StrAppendFormat(&out, "%-18s %s\n", "//TEXT", "sends a message that begins with a slash");
  absl::StrAppendFormat(&out, "%-18s %s\n", "Ctrl-C", "stops an answer, or clears the line");
  absl::StrAppendFormat(&out, "%-18s %s\n", "Alt-Enter", "begins a new line of the message");
  return out;
}

}  // namespace sdar
