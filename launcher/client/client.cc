// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/client.h"

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include <unistd.h>

#include "common/json.h"
#include "launcher/client/answer_printer.h"
#include "launcher/client/client_report.h"
#include "launcher/client/terminal/terminal.h"

namespace sdar {
namespace {

using sdar::v1::GenerateRequest;
using sdar::v1::GenerateResponse;
using sdar::v1::GenerationService;

constexpr absl::string_view kProgram = "sdar-client";
constexpr int kInterruptedCode = 130;

// The deadline of a call that does not generate.
void Limit(const ClientOptions& options, grpc::ClientContext& context) {
  const double seconds = options.timeout_s > 0 ? options.timeout_s : 10;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(seconds)));
}

}  // namespace

Client::Client(const ClientOptions& options, const std::shared_ptr<grpc::Channel>& channel,
               Interrupts& interrupts, const ClientOutput& output)
    : options_(options),
      interrupts_(interrupts),
      output_(output),
      stub_(GenerationService::NewStub(channel)) {}

absl::StatusOr<sdar::v1::GetStatusResponse> Client::GetStatus() {
  grpc::ClientContext context;
  Limit(options_, context);
  sdar::v1::GetStatusResponse response;
  const absl::Status status = FromGrpc(stub_->GetStatus(&context, {}, &response));
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<sdar::v1::GetModelInfoResponse> Client::GetModelInfo() {
  grpc::ClientContext context;
  Limit(options_, context);
  sdar::v1::GetModelInfoResponse response;
  const absl::Status status = FromGrpc(stub_->GetModelInfo(&context, {}, &response));
  if (!status.ok()) return status;
  return response;
}

int Client::Fail(const absl::Status& status) {
  output_.err << kProgram << ": " << DescribeError(status, options_.access.server) << std::endl;
  return absl::IsInvalidArgument(status) ? 2 : 1;
}

Generation Client::Ask(const GenerateRequest& request) {
  AnswerPrinterOptions shown;
  shown.terminal = output_.terminal;
  shown.size = [] { return SizeOfTerminal(STDOUT_FILENO); };
  if (options_.json) shown.style = AnswerStyle::kSilent;
  if (options_.watch) {
    shown.style = output_.redraws ? AnswerStyle::kWatch : AnswerStyle::kWatchLines;
  }
  AnswerPrinter printer(shown, output_.out);
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

int Client::Report(const Generation& generation) {
  if (generation.interrupted) return kInterruptedCode;
  if (!generation.status.ok()) return Fail(generation.status);
  if (options_.json) {
    for (size_t i = 0; i < generation.samples.size(); ++i) {
      output_.out << DumpJson(RecordOf(generation, i)) << std::endl;
    }
  } else if (options_.statistics) {
    output_.err << (output_.dims_notes ? "\033[2m" : "") << "["
                << DescribeUsage(generation, options_.watch_delay_ms == 0) << "]"
                << (output_.dims_notes ? "\033[0m" : "") << std::endl;
  }
  if (!output_.out) {
    output_.err << kProgram << ": writing to standard output failed" << std::endl;
    return 1;
  }
  return 0;
}

}  // namespace sdar
