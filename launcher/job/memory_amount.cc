// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/memory_amount.h"

#include <algorithm>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

struct Unit {
  absl::string_view suffix;
  int shift;
};
constexpr Unit kUnits[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
constexpr int64_t kMaxBytes = int64_t{1} << 50;

absl::StatusOr<int64_t> ReadMemAvailable(const std::string& meminfo) {
  std::ifstream file(meminfo);
  for (std::string line; std::getline(file, line);) {
    absl::string_view rest = line;
    if (!absl::ConsumePrefix(&rest, "MemAvailable:") || !absl::ConsumeSuffix(&rest, "kB")) continue;
    int64_t kib = 0;
    if (absl::SimpleAtoi(rest, &kib)) return kib << 10;
  }
  return absl::NotFoundError(absl::StrCat(meminfo, ": no MemAvailable"));
}

}  // namespace

int64_t MemoryAmount::PerRank(int64_t free_bytes, int ranks) const {
  if (bytes > 0) return bytes;
  return static_cast<int64_t>(fraction * static_cast<double>(free_bytes)) / ranks;
}

absl::StatusOr<MemoryAmount> ParseMemoryAmount(absl::string_view flag, const std::string& text) {
  MemoryAmount amount;
  absl::string_view number = text;
  int shift = 0;
  for (const Unit& unit : kUnits) {
    if (absl::ConsumeSuffix(&number, unit.suffix)) shift = unit.shift;
  }
  const bool has_point = absl::StrContains(number, '.');
  if (shift == 0 && has_point && absl::SimpleAtod(number, &amount.fraction) &&
      amount.fraction > 0 && amount.fraction < 1) {
    return amount;
  }
  amount.fraction = 0;
  if (!has_point && absl::SimpleAtoi(number, &amount.bytes) && amount.bytes > 0 &&
      amount.bytes <= kMaxBytes >> shift) {
    amount.bytes <<= shift;
    return amount;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag,
                   ": expected bytes, a size as 512MiB or 1GiB, or a part of the free memory "
                   "between 0 and 1 as 0.5, got '",
                   text, "'"));
}

absl::StatusOr<int64_t> FreeMemory(const ControlGroup& group, const std::string& meminfo) {
  SDAR_ASSIGN_OR_RETURN(const int64_t available, ReadMemAvailable(meminfo));
  return std::min(available, group.FreeMemory().value_or(available));
}

}  // namespace sdar
