// SPDX-License-Identifier: Apache-2.0
// Numbers out of a scrape.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace sdar {

// The value of the first sample of this name whose labels hold all of `labels` (`rank="1"`).
inline std::optional<double> Scraped(const std::string& text, const std::string& name,
                                     const std::vector<std::string>& labels = {}) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::StartsWith(line, absl::StrCat(name, "{")) &&
        !absl::StartsWith(line, absl::StrCat(name, " "))) {
      continue;
    }
    bool all = true;
    for (const std::string& label : labels) all &= absl::StrContains(line, label);
    if (all) return std::strtod(std::string(line.substr(line.rfind(' '))).c_str(), nullptr);
  }
  return std::nullopt;
}

}  // namespace sdar
