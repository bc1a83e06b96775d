// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/jinja/budget.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

// Adds `amount` to `sum` unless that passes `limit`; then `sum` stays beyond it for good.
bool Spend(size_t amount, size_t limit, size_t& sum) {
  if (sum <= limit && amount <= limit - sum) {
    sum += amount;
    return true;
  }
  sum = std::numeric_limits<size_t>::max();
  return false;
}

}  // namespace

absl::Status JinjaBudget::Charge(size_t units) {
  if (Spend(units, limits_.work, work_)) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("the template does more work than is allowed, ",
                                                   limits_.work, " units of about a nanosecond"));
}

absl::Status JinjaBudget::Allocate(size_t bytes) {
  // Fresh memory is touched once for the kernel and once for the program.
  SDAR_RETURN_IF_ERROR(Charge(bytes / 4));
  if (Spend(bytes, limits_.memory_bytes, memory_bytes_)) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "the template takes more memory than is allowed, ", limits_.memory_bytes, " bytes"));
}

absl::Status JinjaTextBuilder::Grow(size_t bytes) {
  constexpr size_t kLeast = 64;
  const size_t needed = std::max({text_.size() + bytes, 2 * text_.capacity(), kLeast});
  SDAR_RETURN_IF_ERROR(budget_->Allocate(needed));
  text_.reserve(needed);
  return absl::OkStatus();
}

}  // namespace sdar
