// SPDX-License-Identifier: Apache-2.0
// Command lines of the programs: --name=value flags with defaults and units in --help, one clear
// line on bad input.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "boost/program_options.hpp"

namespace sdar {

// What a program accepts. Fill `options` with boost's add_options(); positional arguments are off
// unless named.
struct FlagSpec {
  std::string program;  // "sdar-tokenize"
  std::string purpose;  // one or two sentences for --help
  std::string usage;    // "sdar-tokenize --model=DIR [flags]"
  boost::program_options::options_description options{"Flags", 110, 60};
  std::string
      positional;  // name of the option that collects positional arguments; empty: none allowed
};

// The option names of boost::program_options, shortened for the programs' tables of flags.
template <typename T>
boost::program_options::typed_value<T>* Flag(T* target) {
  return boost::program_options::value<T>(target)->default_value(*target);
}
// A string whose default is nothing: --help prints no default for it.
boost::program_options::typed_value<std::string>* TextFlag(std::string* target);
// --name, --name=true, --name=false.
boost::program_options::typed_value<bool>* SwitchFlag(bool* target);

enum class FlagOutcome { kRun, kPrinted };

// Of this project, as every program has it: "0.1.0".
absl::string_view Version();

// Parses the command line into the variables bound to `spec.options`. --help prints the usage and
// --version "PROGRAM VERSION", to standard output. InvalidArgument is one line that names the flag.
// Requires: before other threads start.
absl::StatusOr<FlagOutcome> ParseFlags(FlagSpec& spec, int argc, char** argv);

// Prints "PROGRAM: message" to standard error and returns the exit code for `status` (0 when OK, 2
// for bad input (InvalidArgument, NotFound, FailedPrecondition, OutOfRange), else 1).
int ExitCode(absl::string_view program, const absl::Status& status);
// The same code without a word.
int ExitCodeOf(const absl::Status& status);

}  // namespace sdar
