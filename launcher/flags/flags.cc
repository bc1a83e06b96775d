// SPDX-License-Identifier: Apache-2.0
#include "launcher/flags/flags.h"

#include <algorithm>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <unistd.h>

#include "common/line_writer.h"
#include "common/log.h"
#include "launcher/flags/bash_completion.h"
#include "launcher/flags/man_page.h"

namespace sdar {
namespace po = boost::program_options;

po::typed_value<std::string>* TextFlag(std::string* target, const char* value) {
  return po::value<std::string>(target)->value_name(value);
}

po::typed_value<bool>* SwitchFlag(bool* target) {
  return po::value<bool>(target)
      ->implicit_value(true, "true")
      ->default_value(*target, *target ? "true" : "false");
}

namespace {

// Columns of --help, and how many of them are left to the text next to the flags.
constexpr unsigned kLineLength = 110;
constexpr unsigned kLeastTextLength = 60;
constexpr char kManPage[] = "man-page";
constexpr char kBashCompletion[] = "bash-completion";

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

void AddHelpFlags(FlagSpec& spec) {
  const std::string group = spec.groups.size() == 1 ? spec.groups.front().name : "Help";
  spec.Group(group)("help,h", "prints this and exits")("version", "prints the version and exits");
}

po::options_description AllFlags(const FlagSpec& spec) {
  po::options_description all("", kLineLength, kLeastTextLength);
  for (const FlagGroup& group : spec.groups) all.add(group.options);
  return all;
}

std::string HelpText(const FlagSpec& spec) {
  std::ostringstream text;
  text << spec.purpose << "\n\nUsage: " << spec.usage << "\n";
  if (!spec.commands.empty()) text << "\nCommands:\n";
  for (const TermText& command : spec.commands) {
    text << absl::StreamFormat("  %-16s %s\n", command.term, command.text);
  }
  text << AllFlags(spec);
  return text.str();
}

// The text that --help, --version, --man-page or --bash-completion asks for. Empty if none of them
// was given.
std::string AskedText(const FlagSpec& spec, const po::variables_map& values) {
  if (values.count("help") != 0) return HelpText(spec);
  if (values.count("version") != 0) return absl::StrCat(spec.program, " ", Version(), "\n");
  if (values.count(kManPage) != 0) return ManPage(spec, values[kManPage].as<std::string>());
  return values.count(kBashCompletion) != 0 ? BashCompletion(spec) : "";
}

}  // namespace

po::options_description_easy_init FlagSpec::Group(absl::string_view name) {
  auto found = std::find_if(groups.begin(), groups.end(),
                            [&](const FlagGroup& group) { return group.name == name; });
  if (found == groups.end()) {
    const std::string text(name);
    found =
        groups.insert(found, {text, po::options_description(text, kLineLength, kLeastTextLength)});
  }
  return found->options.add_options();
}

absl::string_view Version() { return SDAR_VERSION; }

absl::StatusOr<FlagOutcome> ParseFlags(FlagSpec& spec, int argc, char** argv) {
  AddHelpFlags(spec);
  po::options_description flags = AllFlags(spec);
  flags.add_options()(kManPage, po::value<std::string>(), "")(kBashCompletion, "");
  po::positional_options_description positional;
  if (!spec.positional.empty()) positional.add(spec.positional.c_str(), -1);
  try {
    constexpr int kStyle =
        po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    po::variables_map values;
    po::store(po::command_line_parser(SpellOutSwitches(flags, argc, argv))
                  .options(flags)
                  .positional(positional)
                  .style(kStyle)
                  .run(),
              values);
    const std::string text = AskedText(spec, values);
    if (!text.empty()) {
      std::cout << text;
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
