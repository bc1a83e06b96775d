// SPDX-License-Identifier: Apache-2.0
// sdar-grammar: what a grammar accepts, and how long it takes to compile.
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/json.h"
#include "common/status_macros.h"
#include "launcher/flags/flags.h"
#include "launcher/grammar/grammar_line.h"
#include "launcher/jsonl/distinct_files.h"
#include "launcher/jsonl/jsonl_files.h"
#include "runtime/checkpoint/model_location.h"

namespace sdar {
namespace {

constexpr char kProgram[] = "sdar-grammar";

struct Options {
  std::string model;
  std::string input = "-";
  std::string output = "-";
};

FlagSpec MakeFlags(Options& options) {
  FlagSpec spec;
  spec.program = kProgram;
  spec.purpose =
      "Reads one JSON object a line and writes one result a line: {\"json_schema\"}, {\"regex\"} "
      "or\n"
      "{\"choice\"}, with \"texts\", gives whether the grammar accepts each of them, or why it is "
      "refused.\n"
      "A line may carry an \"id\", which its result repeats. Needs the tokenizer files, no "
      "weights.";
  spec.usage = "sdar-grammar DIR [--input=FILE] [--output=FILE]";
  spec.positional = "model";
  spec.Group("Flags")(
      "model", TextFlag(&options.model, "DIR|NAME"),
      "folder with the tokenizer's files, or a name in the Hugging Face cache (required)")(
      "input", Flag(&options.input, "-|FILE"), "file of JSON lines to read; - is standard input")(
      "output", Flag(&options.output, "-|FILE"),
      "file of JSON lines to write; - is standard output");
  spec.man.summary = "what a grammar of structured output accepts";
  spec.man.see_also = "sdar-generate(1), sdar-tokenize(1)";
  return spec;
}

// Answers every line; the number of lines that failed.
int AnswerLines(const GrammarLine& grammar_line, std::istream& in, std::ostream& out) {
  int num_failed = 0;
  int line_number = 0;
  for (std::string line; out && std::getline(in, line);) {
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    Json request;
    absl::StatusOr<Json> result = grammar_line.Answer(line, request);
    if (!result.ok()) {
      ++num_failed;
      const Json id = request.is_object() && request.contains("id") ? request["id"] : Json();
      result = ErrorRecord(id, line_number, result.status());
    }
    out << DumpJson(*result) << '\n';
  }
  return num_failed;
}

absl::Status Run(const Options& options) {
  if (options.model.empty()) {
    return absl::InvalidArgumentError("--model is required (--help lists the flags)");
  }
  const std::vector<NamedFile> written = {{"--output", options.output}};
  SDAR_RETURN_IF_ERROR(CheckDistinct({{"--input", options.input}}, written));
  SDAR_ASSIGN_OR_RETURN(const ModelLocation model, LocateModel(options.model));
  SDAR_RETURN_IF_ERROR(CheckOutsideModel(model.folder, written));
  SDAR_ASSIGN_OR_RETURN(const GrammarLine grammar_line, GrammarLine::Load(model.folder));
  std::ifstream input_file;
  std::ofstream output_file;
  SDAR_ASSIGN_OR_RETURN(std::istream * in, OpenInput(options.input, input_file));
  SDAR_ASSIGN_OR_RETURN(std::ostream * out, OpenOutput(options.output, false, output_file));
  const int num_failed = AnswerLines(grammar_line, *in, *out);
  if (in->bad()) return absl::DataLossError("--input: reading failed");
  SDAR_RETURN_IF_ERROR(Flush(*out));
  return LinesFailed(num_failed);
}

int Main(int argc, char** argv) {
  Options options;
  FlagSpec spec = MakeFlags(options);
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, argc, argv);
  if (!outcome.ok()) return ExitCode(kProgram, outcome.status());
  if (*outcome == FlagOutcome::kPrinted) return 0;
  std::ios::sync_with_stdio(false);
  return ExitCode(kProgram, Run(options));
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
