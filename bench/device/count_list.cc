// SPDX-License-Identifier: Apache-2.0
#include "bench/device/count_list.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace sdar {

absl::StatusOr<std::vector<int64_t>> ParseCounts(absl::string_view flag, const std::string& list,
                                                 int64_t high) {
  std::vector<int64_t> counts;
  if (list.empty()) return counts;
  for (absl::string_view item : absl::StrSplit(list, ',')) {
    int64_t count = 0;
    if (!absl::SimpleAtoi(item, &count) || count < 1 || count > high) {
      return absl::InvalidArgumentError(absl::StrCat("--", flag, ": expected numbers from 1 to ",
                                                     high, " separated by commas, got '", list,
                                                     "'"));
    }
    counts.push_back(count);
  }
  return counts;
}

}  // namespace sdar
