// SPDX-License-Identifier: Apache-2.0
// Programs that answer JSON lines by a model's tokenizer files, one result a line.
#pragma once

#include <functional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/json.h"

namespace sdar {

// The result for `line`, the JSON text of one object. InvalidArgument says what is wrong with the
// line; `request` is then as much of the object as was read, for its id.
using AnswerLine = std::function<absl::StatusOr<Json>(absl::string_view line, Json& request)>;

// Makes it from the model's folder.
using LoadAnswers = absl::FunctionRef<absl::StatusOr<AnswerLine>(const std::string& folder)>;

// What tells one such program from another.
struct LineProgram {
  std::string name;
  std::string purpose;  // of --help
  std::string summary;  // of the man page
  std::string see_also;
};

// main() of such a program: its flags are --model, --input and --output. Returns the exit code.
int RunLineProgram(const LineProgram& program, LoadAnswers load, int argc, char** argv);

}  // namespace sdar
