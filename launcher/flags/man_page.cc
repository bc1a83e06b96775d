// SPDX-License-Identifier: Apache-2.0
#include "launcher/flags/man_page.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

#include "launcher/flags/flag_rows.h"

namespace sdar {
namespace {

constexpr char kExitSuccess[] = "It did what it was asked to do.";
constexpr char kExitFailure[] = "It failed. Another try may succeed.";
constexpr char kExitRefused[] =
    "A flag, a file or another input is bad. Another try with the same input fails again.";

std::string Bold(absl::string_view text) { return absl::StrCat("\\fB", RoffText(text), "\\fR"); }
std::string Italic(absl::string_view text) { return absl::StrCat("\\fI", RoffText(text), "\\fR"); }

// Running text, with every sentence on a line of its own.
std::string Prose(absl::string_view text) {
  const std::string joined = absl::StrReplaceAll(text, {{"\n", " "}});
  const std::vector<std::string> sentences =
      absl::StrSplit(absl::StrReplaceAll(joined, {{". ", ".\n"}}), '\n');
  return absl::StrJoin(sentences, "\n", [](std::string* out, const std::string& sentence) {
    absl::StrAppend(out, RoffText(sentence));
  });
}

std::string Section(absl::string_view heading) { return absl::StrCat(".SH ", heading, "\n"); }

// Usage lines as they are, with the program's name in bold.
std::string Synopsis(const FlagSpec& spec) {
  std::vector<std::string> lines = absl::StrSplit(spec.usage, '\n');
  for (std::string& line : lines) {
    const std::string text = RoffText(absl::StripAsciiWhitespace(line));
    line = absl::StrReplaceAll(text, {{RoffText(spec.program), Bold(spec.program)}});
  }
  return absl::StrCat(Section("SYNOPSIS"), absl::StrJoin(lines, "\n.br\n"), "\n");
}

std::string Entry(const std::string& tag, absl::string_view text) {
  return absl::StrCat(".TP\n", tag, "\n", Prose(text), "\n");
}

std::string Entries(absl::string_view heading, const std::vector<TermText>& entries) {
  if (entries.empty()) return "";
  std::string section = Section(heading);
  for (const TermText& entry : entries) section += Entry(Bold(entry.term), entry.text);
  return section;
}

std::string FlagEntry(const FlagRow& row) {
  std::string tag = row.short_name.empty() ? "" : absl::StrCat(Bold(row.short_name), ", ");
  absl::StrAppend(&tag, Bold(absl::StrCat("--", row.name)));
  if (row.is_switch) absl::StrAppend(&tag, "[=", Italic(row.value), "]");
  if (!row.is_switch && !row.value.empty()) absl::StrAppend(&tag, "=", Italic(row.value));
  std::string text = row.text;
  if (!row.given.empty()) absl::StrAppend(&text, " (default: ", row.given, ")");
  return Entry(tag, text);
}

std::string Options(const FlagSpec& spec) {
  std::string section = Section("OPTIONS");
  for (const FlagGroup& group : spec.groups) {
    if (spec.groups.size() > 1) absl::StrAppend(&section, ".SS ", RoffText(group.name), "\n");
    for (const FlagRow& row : RowsOf(group)) section += FlagEntry(row);
  }
  return section;
}

std::string ExitStatus(const FlagSpec& spec) {
  std::vector<TermText> codes = {{"0", kExitSuccess}, {"1", kExitFailure}, {"2", kExitRefused}};
  codes.insert(codes.end(), spec.man.exit_codes.begin(), spec.man.exit_codes.end());
  return Entries("EXIT STATUS", codes);
}

}  // namespace

std::string RoffText(absl::string_view text) {
  std::string out;
  // A line that begins with a dot or an apostrophe would be a request.
  if (!text.empty() && (text[0] == '.' || text[0] == '\'')) out = "\\&";
  for (const char c : text) {
    switch (c) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '`':
        out += "\\(ga";
        break;
      case '^':
        out += "\\(ha";
        break;
      case '~':
        out += "\\(ti";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string ManPage(const FlagSpec& spec, const std::string& date) {
  const std::string name = RoffText(spec.program);
  std::string page = absl::StrCat(".TH ", absl::AsciiStrToUpper(name), " 1 \"", date, "\" \"sdar ",
                                  Version(), "\" \"User Commands\"\n");
  absl::StrAppend(&page, Section("NAME"), name, " \\- ", RoffText(spec.man.summary), "\n",
                  Synopsis(spec), Section("DESCRIPTION"), Prose(spec.purpose), "\n",
                  Entries("COMMANDS", spec.commands), Options(spec), ExitStatus(spec),
                  Entries("ENVIRONMENT", spec.man.environment), Entries("FILES", spec.man.files));
  if (!spec.man.see_also.empty()) {
    absl::StrAppend(&page, Section("SEE ALSO"), RoffText(spec.man.see_also), "\n");
  }
  return page;
}

}  // namespace sdar
