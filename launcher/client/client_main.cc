// SPDX-License-Identifier: Apache-2.0
// sdar-client: asks a serving job, shows the answer as it comes, or chats.
#include <iostream>
#include <iterator>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/json.h"
#include "common/status_macros.h"
#include "common/utf8.h"
#include "launcher/client/answer_printer.h"
#include "launcher/client/client_call.h"
#include "launcher/client/client_channel.h"
#include "launcher/client/client_options.h"
#include "launcher/client/client_report.h"
#include "launcher/flags/flags.h"

namespace sdar {
namespace {

using sdar::v1::GenerateRequest;
using sdar::v1::GenerateResponse;
using sdar::v1::GenerationService;

constexpr char kProgram[] = "sdar-client";
constexpr int kInterruptedCode = 130;

FlagSpec MakeFlags(ClientOptions& options) {
  FlagSpec spec;
  spec.program = kProgram;
  spec.purpose =
      "Asks a job started by sdar-serve and shows the answer as it becomes final. Without a\n"
      "message it chats: /reset forgets the conversation, /quit or Ctrl-D ends, Ctrl-C ends an\n"
      "answer. Flags of sampling and stopping that are absent are left to the server.";
  spec.usage = "sdar-client [--server=HOST:PORT] [flags] [MESSAGE ...]";
  spec.positional = "message";
  AddClientFlags(options, spec);
  spec.man.summary = "asks a job started by sdar-serve, or chats with it";
  spec.man.exit_codes = {{"130", "Ctrl-C ended the answer."}};
  spec.man.environment = {{"SDAR_API_KEY", "The bearer token, without --api-key-file."}};
  spec.man.see_also = "sdar-serve(1), sdar-bench(1)";
  return spec;
}

int TerminalColumns() {
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

// One connection to a server, and how its answers are shown.
class Client {
 public:
  Client(const ClientOptions& options, const std::shared_ptr<grpc::Channel>& channel,
         Interrupts& interrupts)
      : options_(options), interrupts_(interrupts), stub_(GenerationService::NewStub(channel)) {}

  // Each prints what it got and returns the program's exit code.
  int PrintStatus();
  int PrintInfo();
  int AnswerOnce(const GenerateRequest& request);
  int Chat(GenerateRequest request);

 private:
  Generation Ask(const GenerateRequest& request);
  int Report(const Generation& generation);
  int Fail(const absl::Status& status);
  // The deadline of a call that does not generate.
  void Limit(grpc::ClientContext& context) const;

  const ClientOptions& options_;
  Interrupts& interrupts_;
  std::unique_ptr<GenerationService::Stub> stub_;
};

void Client::Limit(grpc::ClientContext& context) const {
  const double seconds = options_.timeout_s > 0 ? options_.timeout_s : 10;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(seconds)));
}

int Client::Fail(const absl::Status& status) {
  std::cerr << kProgram << ": " << DescribeError(status, options_.access.server) << std::endl;
  return absl::IsInvalidArgument(status) ? 2 : 1;
}

int Client::PrintStatus() {
  grpc::ClientContext context;
  Limit(context);
  sdar::v1::GetStatusResponse response;
  const absl::Status status = FromGrpc(stub_->GetStatus(&context, {}, &response));
  if (!status.ok()) return Fail(status);
  std::cout << Describe(response) << std::flush;
  return 0;
}

int Client::PrintInfo() {
  grpc::ClientContext context;
  Limit(context);
  sdar::v1::GetModelInfoResponse response;
  const absl::Status status = FromGrpc(stub_->GetModelInfo(&context, {}, &response));
  if (!status.ok()) return Fail(status);
  std::cout << Describe(response) << std::flush;
  return 0;
}

Generation Client::Ask(const GenerateRequest& request) {
  AnswerPrinterOptions shown;
  shown.terminal = isatty(STDOUT_FILENO) != 0;
  shown.columns = TerminalColumns();
  if (options_.json) shown.style = AnswerStyle::kSilent;
  if (options_.watch) shown.style = shown.terminal ? AnswerStyle::kWatch : AnswerStyle::kWatchLines;
  AnswerPrinter printer(shown, std::cout);
  Generation generation = Generate(*stub_, request, absl::Seconds(options_.timeout_s), interrupts_,
                                   [&](const GenerateResponse& response) {
                                     printer.Show(response);
                                     if (response.has_provisional()) {
                                       absl::SleepFor(absl::Milliseconds(options_.watch_delay_ms));
                                     }
                                   });
  const bool anything = generation.status.ok() || !generation.samples.empty();
  if (anything) printer.Finish();
  return generation;
}

// What is to be said after an answer.
int Client::Report(const Generation& generation) {
  if (generation.interrupted) return kInterruptedCode;
  if (!generation.status.ok()) return Fail(generation.status);
  if (options_.json) {
    for (size_t i = 0; i < generation.samples.size(); ++i) {
      std::cout << DumpJson(RecordOf(generation, i)) << std::endl;
    }
  } else if (options_.statistics) {
    const bool dim = isatty(STDERR_FILENO) != 0;
    std::cerr << (dim ? "\033[2m" : "") << "["
              << DescribeUsage(generation, options_.watch_delay_ms == 0) << "]"
              << (dim ? "\033[0m" : "") << std::endl;
  }
  if (!std::cout) {
    std::cerr << kProgram << ": writing to standard output failed" << std::endl;
    return 1;
  }
  return 0;
}

int Client::AnswerOnce(const GenerateRequest& request) { return Report(Ask(request)); }

int Client::Chat(GenerateRequest request) {
  const GenerateRequest fresh = request;
  std::string line;
  while (std::cout << "> " << std::flush && std::getline(std::cin, line)) {
    if (line == "/quit") return 0;
    if (line == "/reset") request = fresh;
    if (line == "/reset" || line.find_first_not_of(" \t") == std::string::npos) continue;
    if (line[0] == '/') {
      std::cerr << "/reset forgets the conversation, /quit ends" << std::endl;
      continue;
    }
    AddTurn("user", ReplaceInvalidUtf8(line), request);
    const Generation generation = Ask(request);
    Report(generation);
    const std::string text = generation.samples.empty() ? "" : generation.samples[0].text;
    if (generation.status.ok() || !text.empty()) {
      AddTurn("assistant", text, request);
    } else {
      request.mutable_chat()->mutable_messages()->RemoveLast();
    }
  }
  std::cout << std::endl;
  return 0;
}

absl::StatusOr<std::string> ReadMessageFromInput() {
  std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.empty()) return absl::InvalidArgumentError("no message (--help lists the flags)");
  if (!IsValidUtf8(text)) return absl::InvalidArgumentError("the message is not UTF-8");
  return text;
}

absl::StatusOr<int> Run(const ClientOptions& options) {
  Interrupts interrupts;
  SDAR_ASSIGN_OR_RETURN(GenerateRequest request, MakeRequest(options));
  SDAR_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, OpenChannel(options.access));
  Client client(options, channel, interrupts);
  if (options.status) return client.PrintStatus();
  if (options.info) return client.PrintInfo();
  if (!options.prompt.empty()) {
    request.set_prompt(options.prompt);
    return client.AnswerOnce(request);
  }
  std::string message = absl::StrJoin(options.message, " ");
  if (message.empty()) {
    if (isatty(STDIN_FILENO) != 0) return client.Chat(std::move(request));
    SDAR_ASSIGN_OR_RETURN(message, ReadMessageFromInput());
  }
  AddTurn("user", message, request);
  return client.AnswerOnce(request);
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
