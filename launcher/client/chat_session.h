// SPDX-License-Identifier: Apache-2.0
// A chat: reads lines, obeys commands, asks, and keeps the conversation.
#pragma once

#include <ostream>
#include <string>

#include "absl/status/status.h"

#include "launcher/client/chat_commands.h"
#include "launcher/client/client.h"
#include "launcher/client/client_options.h"
#include "launcher/client/conversation.h"
#include "launcher/client/terminal/line_reader.h"

namespace sdar {

// Asks the server what it runs, and says so.
absl::Status Greet(Client& client, std::ostream& out);

class ChatSession {
 public:
  // `request`: of MakeRequest(options). The references must outlive the session.
  ChatSession(const ClientOptions& options, sdar::v1::GenerateRequest request, Client& client,
              LineReader& lines, std::ostream& out, std::ostream& err);

  // Until the end of the input.
  void Run();
  // No call has failed so far.
  bool all_answered() const { return all_answered_; }

 private:
  // False: the chat is over.
  bool Take(const InputLine& line);
  // Obeys a command, and says what came of it.
  absl::Status Obey(const ChatCommand& command);
  void AskWaiting();
  absl::Status Set(const std::string& argument);
  absl::Status Load(const std::string& path);

  FieldTexts fields_;
  const bool watch_;
  Conversation conversation_;
  bool all_answered_ = true;
  Client& client_;
  LineReader& lines_;
  std::ostream& out_;
  std::ostream& err_;
};

}  // namespace sdar
