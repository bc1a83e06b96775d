// SPDX-License-Identifier: Apache-2.0
#include "launcher/flags/flag_rows.h"

namespace sdar {
namespace po = boost::program_options;

FlagRow RowOf(const po::option_description& flag) {
  FlagRow row;
  row.name = flag.long_name();
  const std::string shown =
      flag.canonical_display_name(po::command_line_style::allow_dash_for_short);
  if (shown != row.name) row.short_name = shown;
  row.text = flag.description();
  const po::value_semantic& semantic = *flag.semantic();
  if (semantic.max_tokens() == 0) return row;
  row.is_switch = dynamic_cast<const po::typed_value<bool>*>(&semantic) != nullptr;
  // "FILE (=-)", or "[=arg(=true)] (=false)" for a switch: boost has no other way to ask.
  const std::string name = semantic.name();
  const size_t end = name.find(" (=");
  row.value = row.is_switch ? "true|false" : name.substr(0, end);
  if (end != std::string::npos) row.given = name.substr(end + 3, name.size() - end - 4);
  return row;
}

std::vector<FlagRow> RowsOf(const FlagGroup& group) {
  std::vector<FlagRow> rows;
  for (const auto& flag : group.options.options()) rows.push_back(RowOf(*flag));
  return rows;
}

std::vector<FlagRow> RowsOf(const FlagSpec& spec) {
  std::vector<FlagRow> all;
  for (const FlagGroup& group : spec.groups) {
    for (FlagRow& row : RowsOf(group)) all.push_back(std::move(row));
  }
  return all;
}

}  // namespace sdar
