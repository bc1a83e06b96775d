// SPDX-License-Identifier: Apache-2.0
#include "launcher/flags/flags.h"

#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include <unistd.h>

#include "common/line_writer.h"
#include "common/log.h"

namespace sdar {
namespace po = boost::program_options;

po::typed_value<std::string>* TextFlag(std::string* target) {
  return po::value<std::string>(target);
}

po::typed_value<bool>* SwitchFlag(bool* target) {
  return po::value<bool>(target)
      ->implicit_value(true, "true")
      ->default_value(*target, *target ? "true" : "false");
}

namespace {

// The arguments, with --switch written as --switch=true: program_options would take the next
// argument for its value.
std::vector<std::string> SpellOutSwitches(const po::options_description& options, int argc,
                                          char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (const auto& option : options.options()) {
    if (dynamic_cast<const po::typed_value<bool>*>(option->semantic().get()) == nullptr) continue;
    for (std::string& argument : arguments) {
      if (argument == "--" + option->long_name()) argument += "=true";
    }
  }
  return arguments;
}

}  // namespace

absl::string_view Version() { return SDAR_VERSION; }

absl::StatusOr<FlagOutcome> ParseFlags(FlagSpec& spec, int argc, char** argv) {
  spec.options.add_options()("help,h", "prints this and exits")("version",
                                                                "prints the version and exits");
  po::positional_options_description positional;
  if (!spec.positional.empty()) positional.add(spec.positional.c_str(), -1);
  try {
    constexpr int kStyle =
        po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    po::variables_map values;
    po::store(po::command_line_parser(SpellOutSwitches(spec.options, argc, argv))
                  .options(spec.options)
                  .positional(positional)
                  .style(kStyle)
                  .run(),
              values);
    if (values.count("help") != 0) {
      std::cout << spec.purpose << "\n\nUsage: " << spec.usage << "\n\n" << spec.options;
      return FlagOutcome::kPrinted;
    }
    if (values.count("version") != 0) {
      std::cout << spec.program << " " << Version() << "\n";
      return FlagOutcome::kPrinted;
    }
    po::notify(values);
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(error.what(), " (--help lists the flags)"));
  }
  return FlagOutcome::kRun;
}

int ExitCode(absl::string_view program, const absl::Status& status) {
  if (!status.ok()) {
    // What was logged before stands before it.
    if (spdlog::default_logger() != nullptr) spdlog::default_logger()->flush();
    LineWriter(STDERR_FILENO, {}).Write(absl::StrCat(program, ": ", status.message(), "\n"));
  }
  return ExitCodeOf(status);
}

int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 0;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 2;
    default:
      return 1;
  }
}

}  // namespace sdar
