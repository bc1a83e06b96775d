// SPDX-License-Identifier: Apache-2.0
// Command lines of the programs: --name=value flags with defaults and units in --help, one clear
// line on bad input.
#pragma once

#include <list>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "boost/program_options.hpp"

namespace sdar {

// Flags under one heading of --help and of the man page.
struct FlagGroup {
  std::string name;
  boost::program_options::options_description options;
};

// A word and what it means: a command, an exit code, a variable, a file.
struct TermText {
  std::string term;
  std::string text;
};

// What the man page says in addition to what --help says.
struct ManNotes {
  std::string summary;               // after the program's name: "serves a model"
  std::vector<TermText> exit_codes;  // besides 0, 1 and 2
  std::vector<TermText> environment;
  std::vector<TermText> files;
  std::string see_also;  // "sdar-client(1), mpirun(1)"
};

// What a program accepts. Positional arguments are off unless named.
struct FlagSpec {
  std::string program;  // "sdar-tokenize"
  std::string purpose;  // one or two sentences for --help
  std::string usage;    // "sdar-tokenize --model=DIR [flags]"
  // Name of the option that collects positional arguments; empty: none allowed.
  std::string positional;
  std::vector<TermText> commands;  // of a program whose first word is one: "verify DIR"
  bool runs_command = false;       // what follows -- is the command line of another program
  std::list<FlagGroup> groups;     // in the order of --help
  ManNotes man;

  // Adds flags to the group of this name, which comes after the others if it is new:
  // spec.Group("Logs")("log-level", Flag(&level), "how much is said")(...).
  boost::program_options::options_description_easy_init Group(absl::string_view name);
};

// The option names of boost::program_options, shortened for the programs' tables of flags. `value`
// stands for the value in --help. It tells the completion what to offer: "auto|off|N" are two
// words and something else, FILE and DIR are paths.
template <typename T>
boost::program_options::typed_value<T>* Flag(T* target, const char* value = std::is_arithmetic_v<T>
                                                                                ? "N"
                                                                                : "TEXT") {
  return boost::program_options::value<T>(target)->default_value(*target)->value_name(value);
}
// A string whose default is nothing: --help prints no default for it.
boost::program_options::typed_value<std::string>* TextFlag(std::string* target,
                                                           const char* value = "TEXT");
// --name, --name=true, --name=false.
boost::program_options::typed_value<bool>* SwitchFlag(bool* target);

enum class FlagOutcome { kRun, kPrinted };

// Of this project, as every program has it: "0.1.0".
absl::string_view Version();

// Parses the command line into the variables bound to the groups. --help prints the usage and
// --version "PROGRAM VERSION", to standard output. So do two flags that --help does not list:
// --man-page=DATE prints the man page, --bash-completion what bash loads to complete this program's
// flags. InvalidArgument is one line that names the flag. Requires: before other threads start.
absl::StatusOr<FlagOutcome> ParseFlags(FlagSpec& spec, int argc, char** argv);

// Prints "PROGRAM: message" to standard error and returns the exit code for `status` (0 when OK, 2
// for bad input (InvalidArgument, NotFound, FailedPrecondition, OutOfRange), else 1).
int ExitCode(absl::string_view program, const absl::Status& status);
// The same code without a word.
int ExitCodeOf(const absl::Status& status);

}  // namespace sdar
