// SPDX-License-Identifier: Apache-2.0
// The tables of flags, row by row, for what is printed from them.
#pragma once

#include <string>
#include <vector>

#include "launcher/flags/flags.h"

namespace sdar {

struct FlagRow {
  std::string name;        // "host"
  std::string short_name;  // "-h"; empty: none
  std::string value;       // "FILE", "on|off"; empty: it takes none
  std::string given;       // the default; empty: none
  std::string text;
  bool is_switch = false;  // --name alone is --name=true
};

FlagRow RowOf(const boost::program_options::option_description& flag);

std::vector<FlagRow> RowsOf(const FlagGroup& group);

// Of all groups.
std::vector<FlagRow> RowsOf(const FlagSpec& spec);

}  // namespace sdar
