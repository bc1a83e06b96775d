// SPDX-License-Identifier: Apache-2.0
// sdar-grammar: what a grammar accepts, and how long it takes to compile.
#include <memory>
#include <string>
#include <utility>

#include "common/status_macros.h"
#include "launcher/grammar/grammar_line.h"
#include "launcher/jsonl/line_program.h"

namespace sdar {
namespace {

absl::StatusOr<AnswerLine> LoadGrammars(const std::string& folder) {
  SDAR_ASSIGN_OR_RETURN(GrammarLine loaded, GrammarLine::Load(folder));
  const auto grammars = std::make_shared<const GrammarLine>(std::move(loaded));
  return
      [grammars](absl::string_view line, Json& request) { return grammars->Answer(line, request); };
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) {
  sdar::LineProgram program;
  program.name = "sdar-grammar";
  program.purpose =
      "Reads one JSON object a line and writes one result a line: {\"json_schema\"}, {\"regex\"} "
      "or\n"
      "{\"choice\"}, with \"texts\", gives whether the grammar accepts each of them, or why it is "
      "refused.";
  program.summary = "what a grammar of structured output accepts";
  program.see_also = "sdar-generate(1), sdar-tokenize(1)";
  return sdar::RunLineProgram(program, sdar::LoadGrammars, argc, argv);
}
