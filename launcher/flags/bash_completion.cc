// SPDX-License-Identifier: Apache-2.0
#include "launcher/flags/bash_completion.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

#include "launcher/flags/flag_rows.h"

namespace sdar {
namespace {

// Bash splits --name=value at the sign. `key` becomes "--name=", or "--name" if its value is the
// next word, and `word` what is there of the value.
constexpr char kBegin[] = R"(() {
  local word=${COMP_WORDS[COMP_CWORD]} key=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
)";
constexpr char kHandOver[] = R"(  local i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    [[ ${COMP_WORDS[i]} == -- ]] || continue
    ! declare -F _command_offset > /dev/null || _command_offset $((i + 1))
    return
  done
)";
constexpr char kFindKey[] = R"(  if [[ $word == = ]]; then
    word=
    key+==
  elif [[ $key == = ]]; then
    key=${COMP_WORDS[COMP_CWORD - 2]}=
  fi
  case $key in
)";
constexpr char kFlags[] = R"(  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$word")
    [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2> /dev/null
    return
  fi
)";

// The line that offers what a value may be; empty where nothing is known of it. Words in capitals
// are no words to type.
std::string Offer(const std::string& value, const std::vector<std::string>& more_words = {}) {
  std::vector<std::string> words = more_words;
  std::string paths;
  for (const std::string& choice : std::vector<std::string>(absl::StrSplit(value, '|'))) {
    if (choice == "FILE") paths = " -f";
    if (choice == "DIR") paths = " -d";
    if (std::none_of(choice.begin(), choice.end(), absl::ascii_isupper)) words.push_back(choice);
  }
  if (words.empty() && paths.empty()) return "";
  const std::string list =
      words.empty() ? "" : absl::StrCat(" -W '", absl::StrJoin(words, " "), "'");
  return absl::StrCat(paths.empty() ? "" : "compopt -o filenames 2> /dev/null; ",
                      "mapfile -t COMPREPLY < <(compgen", list, paths, " -- \"$word\")");
}

// The values of flags; those of which the same is known share a case.
std::string ValueCases(const std::vector<FlagRow>& rows) {
  std::map<std::string, std::vector<std::string>> keys;
  for (const FlagRow& row : rows) {
    if (row.value.empty()) continue;
    std::vector<std::string>& same = keys[Offer(row.value)];
    // A switch does not take the next word.
    if (!row.is_switch) same.push_back(absl::StrCat("--", row.name));
    same.push_back(absl::StrCat("--", row.name, "="));
  }
  std::string cases;
  for (const auto& [offer, same] : keys) {
    absl::StrAppend(&cases, "    ", absl::StrJoin(same, " | "), ")\n",
                    offer.empty() ? "" : absl::StrCat("      ", offer, "\n"),
                    "      return\n      ;;\n");
  }
  return cases;
}

std::string FlagWords(const std::vector<FlagRow>& rows) {
  return absl::StrJoin(rows, " ", [](std::string* out, const FlagRow& row) {
    absl::StrAppend(out, "--", row.name, row.value.empty() || row.is_switch ? "" : "=");
  });
}

// What words without a flag may be.
std::string PositionalOffer(const FlagSpec& spec, const std::vector<FlagRow>& rows) {
  std::vector<std::string> commands;
  for (const TermText& command : spec.commands) {
    commands.push_back(command.term.substr(0, command.term.find(' ')));
  }
  const auto row = std::find_if(rows.begin(), rows.end(),
                                [&](const FlagRow& r) { return r.name == spec.positional; });
  const std::string offer = Offer(row == rows.end() ? "TEXT" : row->value, commands);
  return offer.empty() ? "" : absl::StrCat("  ", offer, "\n");
}

}  // namespace

std::string BashCompletion(const FlagSpec& spec) {
  const std::vector<FlagRow> rows = RowsOf(spec);
  const std::string function = absl::StrCat("_", absl::StrReplaceAll(spec.program, {{"-", "_"}}));
  return absl::StrCat("# Completes the command line of ", spec.program, " in bash. Made by ",
                      spec.program, " --bash-completion.\n", function, kBegin, "  local flags='",
                      FlagWords(rows), "'\n", spec.runs_command ? kHandOver : "", kFindKey,
                      ValueCases(rows), "  esac\n", kFlags, PositionalOffer(spec, rows),
                      "}\ncomplete -F ", function, " ", spec.program, "\n");
}

}  // namespace sdar
