// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/chat_session.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "launcher/client/chat_files.h"
#include "launcher/client/terminal/terminal_text.h"

namespace sdar {
namespace {

using sdar::v1::GenerateRequest;

// As shells read the beginning of a path.
std::string ExpandHome(const std::string& path) {
  const char* home = std::getenv("HOME");
  return absl::StartsWith(path, "~/") && home != nullptr ? home + path.substr(1) : path;
}

}  // namespace

absl::Status Greet(Client& client, std::ostream& out) {
  SDAR_ASSIGN_OR_RETURN(const sdar::v1::GetModelInfoResponse info, client.GetModelInfo());
  out << ForOneLine(info.model()) << ", block length " << info.block_length()
      << ". /help lists the commands." << std::endl;
  return absl::OkStatus();
}

ChatSession::ChatSession(const ClientOptions& options, GenerateRequest request, Client& client,
                         LineReader& lines, std::ostream& out, std::ostream& err)
    : fields_(options.fields),
      watch_(options.watch),
      conversation_(std::move(request)),
      client_(client),
      lines_(lines),
      out_(out),
      err_(err) {}

void ChatSession::Run() {
  while (Take(lines_.Next())) {
  }
}

bool ChatSession::Take(const InputLine& line) {
  switch (line.kind) {
    case InputLine::Kind::kEnd:
      return false;
    case InputLine::Kind::kCleared:
      return true;
    case InputLine::Kind::kInterrupt:
      err_ << "Ctrl-D or /quit ends" << std::endl;
      return true;
    case InputLine::Kind::kTooLong:
      err_ << "not sent: a message may have " << kMaxLineBytes << " bytes" << std::endl;
      return true;
    case InputLine::Kind::kText:
      break;
  }
  lines_.Remember(line.text);
  const absl::StatusOr<ChatCommand> command = ParseChatLine(line.text);
  if (command.ok() && command->verb == ChatVerb::kQuit) return false;
  const absl::Status obeyed = command.ok() ? Obey(*command) : command.status();
  if (!obeyed.ok()) err_ << ForOneLine(obeyed.message()) << std::endl;
  return true;
}

absl::Status ChatSession::Obey(const ChatCommand& command) {
  switch (command.verb) {
    case ChatVerb::kNothing:
    case ChatVerb::kQuit:
      break;
    case ChatVerb::kHelp:
      out_ << DescribeCommands() << std::flush;
      break;
    case ChatVerb::kSystem:
      conversation_.SetSystem(command.argument);
      out_ << (command.argument.empty() ? "there is no system turn now" : "the system turn is set")
           << std::endl;
      break;
    case ChatVerb::kSet:
      return Set(command.argument);
    case ChatVerb::kReset:
      conversation_.Forget();
      out_ << "the conversation begins anew" << std::endl;
      break;
    case ChatVerb::kSave:
      SDAR_RETURN_IF_ERROR(
          WriteMessages(conversation_.request().chat(), ExpandHome(command.argument)));
      out_ << "saved " << conversation_.request().chat().messages_size() << " messages"
           << std::endl;
      break;
    case ChatVerb::kLoad:
      return Load(ExpandHome(command.argument));
    case ChatVerb::kSay:
      conversation_.Ask("user", command.argument);
      AskWaiting();
      break;
    case ChatVerb::kTool:
      conversation_.Ask("tool", command.argument);
      AskWaiting();
      break;
    case ChatVerb::kRetry:
      if (!conversation_.AskAgain()) return absl::NotFoundError("there is no question yet");
      AskWaiting();
      break;
  }
  return absl::OkStatus();
}

void ChatSession::AskWaiting() {
  const Generation generation = client_.Ask(conversation_.request());
  client_.Report(generation);
  all_answered_ = all_answered_ && generation.status.ok();
  const std::string text = generation.samples.empty() ? "" : generation.samples[0].text;
  switch (conversation_.Answer(text, generation.status.ok())) {
    case Conversation::Kept::kNothing:
      err_ << "no answer: the question is out of the conversation" << std::endl;
      break;
    case Conversation::Kept::kOldAnswer:
      err_ << "no answer: the last one stays in the conversation" << std::endl;
      break;
    case Conversation::Kept::kAnswer:
      if (!generation.status.ok()) err_ << "stopped: what came is kept" << std::endl;
      break;
  }
}

absl::Status ChatSession::Set(const std::string& argument) {
  if (argument.empty()) {
    out_ << DescribeFields(fields_) << std::flush;
    return absl::OkStatus();
  }
  const std::string field = argument.substr(0, argument.find_first_of(" \t\n"));
  const absl::string_view value =
      absl::StripAsciiWhitespace(absl::string_view(argument).substr(field.size()));
  FieldTexts changed = fields_;
  SDAR_RETURN_IF_ERROR(ChangeField(field, value, changed));
  GenerateRequest& request = conversation_.request();
  GenerateRequest checked = request;
  SDAR_RETURN_IF_ERROR(SetFields(changed, watch_, checked));
  request = std::move(checked);
  fields_ = std::move(changed);
  out_ << field << " is " << (value.empty() ? "the server's again" : ForOneLine(value))
       << std::endl;
  return absl::OkStatus();
}

absl::Status ChatSession::Load(const std::string& path) {
  SDAR_ASSIGN_OR_RETURN(const sdar::v1::Chat chat, ReadMessages(path));
  conversation_.Replace(chat);
  out_ << "loaded " << chat.messages_size() << " messages" << std::endl;
  return absl::OkStatus();
}

}  // namespace sdar
