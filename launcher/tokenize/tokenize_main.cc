// SPDX-License-Identifier: Apache-2.0
// sdar-tokenize: what a model's tokenizer and chat template make of texts and conversations.
#include <memory>
#include <string>
#include <utility>

#include "common/status_macros.h"
#include "launcher/jsonl/line_program.h"
#include "launcher/tokenize/tokenize_line.h"

namespace sdar {
namespace {

absl::StatusOr<AnswerLine> LoadTokenizer(const std::string& folder) {
  SDAR_ASSIGN_OR_RETURN(LineTokenizer loaded, LineTokenizer::Load(folder));
  const auto tokenizer = std::make_shared<const LineTokenizer>(std::move(loaded));
  return [tokenizer](absl::string_view line, Json& request) {
    return tokenizer->Answer(line, request);
  };
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) {
  sdar::LineProgram program;
  program.name = "sdar-tokenize";
  program.purpose =
      "Reads one JSON object a line and writes one result a line: {\"text\"} gives its token ids\n"
      "and the texts they decode to, {\"messages\"} the chat prompt and its ids, {\"ids\"} the "
      "texts.";
  program.summary = "what a model's tokenizer and chat template make of texts";
  program.see_also = "sdar-generate(1), sdar-score(1)";
  return sdar::RunLineProgram(program, sdar::LoadTokenizer, argc, argv);
}
