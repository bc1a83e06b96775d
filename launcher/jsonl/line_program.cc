// SPDX-License-Identifier: Apache-2.0
#include "launcher/jsonl/line_program.h"

#include <fstream>
#include <iostream>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "launcher/flags/flags.h"
#include "launcher/jsonl/distinct_files.h"
#include "launcher/jsonl/jsonl_files.h"
#include "runtime/checkpoint/model_location.h"

namespace sdar {
namespace {

struct LineOptions {
  std::string model;
  std::string input = "-";
  std::string output = "-";
};

FlagSpec FlagsOf(const LineProgram& program, LineOptions& options) {
  FlagSpec spec;
  spec.program = program.name;
  spec.purpose = absl::StrCat(program.purpose,
                              "\nA line may carry an \"id\", which its result repeats. Needs the "
                              "tokenizer files, no weights.");
  spec.usage = absl::StrCat(program.name, " DIR [--input=FILE] [--output=FILE]");
  spec.positional = "model";
  spec.Group("Flags")(
      "model", TextFlag(&options.model, "DIR|NAME"),
      "folder with the tokenizer's files, or a name in the Hugging Face cache (required)")(
      "input", Flag(&options.input, "-|FILE"), "file of JSON lines to read; - is standard input")(
      "output", Flag(&options.output, "-|FILE"),
      "file of JSON lines to write; - is standard output");
  spec.man.summary = program.summary;
  spec.man.see_also = program.see_also;
  return spec;
}

// Answers every line; the number of lines that failed.
int AnswerLines(const AnswerLine& answer, std::istream& in, std::ostream& out) {
  int num_failed = 0;
  int line_number = 0;
  for (std::string line; out && std::getline(in, line);) {
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    Json request;
    absl::StatusOr<Json> result = answer(line, request);
    if (!result.ok()) {
      ++num_failed;
      const Json id = request.is_object() && request.contains("id") ? request["id"] : Json();
      result = ErrorRecord(id, line_number, result.status());
    }
    out << DumpJson(*result) << '\n';
  }
  return num_failed;
}

absl::Status AnswerInput(const LineOptions& options, LoadAnswers load) {
  if (options.model.empty()) {
    return absl::InvalidArgumentError("--model is required (--help lists the flags)");
  }
  const std::vector<NamedFile> written = {{"--output", options.output}};
  SDAR_RETURN_IF_ERROR(CheckDistinct({{"--input", options.input}}, written));
  SDAR_ASSIGN_OR_RETURN(const ModelLocation model, LocateModel(options.model));
  SDAR_RETURN_IF_ERROR(CheckOutsideModel(model.folder, written));
  SDAR_ASSIGN_OR_RETURN(const AnswerLine answer, load(model.folder));
  std::ifstream input_file;
  std::ofstream output_file;
  SDAR_ASSIGN_OR_RETURN(std::istream * in, OpenInput(options.input, input_file));
  SDAR_ASSIGN_OR_RETURN(std::ostream * out, OpenOutput(options.output, false, output_file));
  const int num_failed = AnswerLines(answer, *in, *out);
  if (in->bad()) return absl::DataLossError("--input: reading failed");
  SDAR_RETURN_IF_ERROR(Flush(*out));
  return LinesFailed(num_failed);
}

}  // namespace

int RunLineProgram(const LineProgram& program, LoadAnswers load, int argc, char** argv) {
  LineOptions options;
  FlagSpec spec = FlagsOf(program, options);
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, argc, argv);
  if (!outcome.ok()) return ExitCode(program.name, outcome.status());
  if (*outcome == FlagOutcome::kPrinted) return 0;
  std::ios::sync_with_stdio(false);
  return ExitCode(program.name, AnswerInput(options, load));
}

}  // namespace sdar
