// SPDX-License-Identifier: Apache-2.0
// sdar-client: asks a serving job, shows the answer as it comes, or chats.
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_join.h"
#include <unistd.h>

#include "common/status_macros.h"
#include "common/utf8.h"
#include "launcher/client/chat_session.h"
#include "launcher/client/client.h"
#include "launcher/client/client_channel.h"
#include "launcher/client/client_options.h"
#include "launcher/client/client_report.h"
#include "launcher/client/terminal/line_editor.h"
#include "launcher/client/terminal/line_history.h"
#include "launcher/client/terminal/plain_lines.h"
#include "launcher/client/terminal/terminal.h"
#include "launcher/flags/flags.h"

namespace sdar {
namespace {

using sdar::v1::GenerateRequest;

constexpr char kProgram[] = "sdar-client";

FlagSpec MakeFlags(ClientOptions& options) {
  FlagSpec spec;
  spec.program = kProgram;
  spec.purpose =
      "Asks a job started by sdar-serve and shows the answer as it becomes final. Without a\n"
      "message it chats: /help lists the commands, Ctrl-D ends, Ctrl-C stops an answer.\n"
      "Flags of sampling and stopping that are absent are left to the server.";
  spec.usage = "sdar-client [--server=HOST:PORT] [flags] [MESSAGE ...]";
  spec.positional = "message";
  AddClientFlags(options, spec);
  spec.man.summary = "asks a job started by sdar-serve, or chats with it";
  spec.man.exit_codes = {{"130", "Ctrl-C ended the answer."}};
  spec.man.environment = {
      {"SDAR_API_KEY", "The bearer token, without --api-key-file."},
      {"NO_COLOR", "Not empty: no colours, and --watch prints lines."},
      {"TERM", "Absent or \"dumb\": no escape sequences, and a chat without line editing."}};
  spec.man.files = {{"$XDG_STATE_HOME/sdar/client_history",
                     "What was typed in chats; else below ~/.local/state."}};
  spec.man.see_also = "sdar-serve(1), sdar-bench(1)";
  return spec;
}

ClientOutput StandardOutput() {
  const bool terminal = isatty(STDOUT_FILENO) != 0;
  return {std::cout, std::cerr, terminal, TakesStyles(STDOUT_FILENO), TakesStyles(STDERR_FILENO)};
}

int Chat(const ClientOptions& options, GenerateRequest request, Client& client,
         Interrupts& interrupts) {
  const absl::Status greeted = Greet(client, std::cout);
  if (!greeted.ok()) {
    client.Fail(greeted);
    return 1;
  }
  interrupts.KeepEvents();
  const bool typed = isatty(STDIN_FILENO) != 0;
  LineHistory history;
  std::unique_ptr<LineReader> lines;
  if (typed && TakesCursorMoves(STDOUT_FILENO) && UseUtf8Locale()) {
    history = LineHistory(LineHistory::DefaultPath());
    lines = std::make_unique<LineEditor>(interrupts, history);
  } else {
    lines = std::make_unique<PlainLines>(STDIN_FILENO, !typed, interrupts, std::cout);
  }
  ChatSession session(options, std::move(request), client, *lines, std::cout, std::cerr);
  session.Run();
  // Who types has seen which answers failed.
  return typed || session.all_answered() ? 0 : 1;
}

absl::StatusOr<std::string> ReadMessageFromInput() {
  std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.empty()) return absl::InvalidArgumentError("no message (--help lists the flags)");
  if (!IsValidUtf8(text)) return absl::InvalidArgumentError("the message is not UTF-8");
  return text;
}

// Prints what the server said and returns the exit code.
template <typename Response>
int Print(const absl::StatusOr<Response>& response, Client& client) {
  if (!response.ok()) return client.Fail(response.status());
  std::cout << Describe(*response) << std::flush;
  return 0;
}

absl::StatusOr<int> Run(const ClientOptions& options) {
  Interrupts interrupts;
  SDAR_ASSIGN_OR_RETURN(GenerateRequest request, MakeRequest(options));
  SDAR_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, OpenChannel(options.access));
  Client client(options, channel, interrupts, StandardOutput());
  if (options.status) return Print(client.GetStatus(), client);
  if (options.info) return Print(client.GetModelInfo(), client);
  if (!options.prompt.empty()) {
    request.set_prompt(options.prompt);
    return client.Report(client.Ask(request));
  }
  std::string message = absl::StrJoin(options.message, " ");
  if (options.chat || (message.empty() && isatty(STDIN_FILENO) != 0)) {
    return Chat(options, std::move(request), client, interrupts);
  }
  if (message.empty()) {
    SDAR_ASSIGN_OR_RETURN(message, ReadMessageFromInput());
  }
  AddTurn("user", message, request);
  return client.Report(client.Ask(request));
}

int Main(int argc, char** argv) {
  ClientOptions options;
  FlagSpec spec = MakeFlags(options);
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, argc, argv);
  if (!outcome.ok()) return ExitCode(kProgram, outcome.status());
  if (*outcome == FlagOutcome::kPrinted) return 0;
  const absl::StatusOr<int> code = Run(options);
  return code.ok() ? *code : ExitCode(kProgram, code.status());
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
