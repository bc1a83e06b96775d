// SPDX-License-Identifier: Apache-2.0
// What the rendering of a template may cost: work and memory, both paid for before they are used.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sdar {

struct JinjaLimits {
  size_t work = size_t{512} << 20;          // units of JinjaBudget; up to about two seconds
  size_t memory_bytes = size_t{256} << 20;  // allocated over the rendering, freed since or not
  size_t output_bytes = size_t{64} << 20;   // of the rendered text
};

// The budget of one rendering, so that no template or conversation can hang the process or exhaust
// its memory. A primitive charges for all that it is about to do, in bytes touched and elements
// visited. One thread.
class JinjaBudget {
 public:
  explicit JinjaBudget(const JinjaLimits& limits) : limits_(limits) {}

  const JinjaLimits& limits() const { return limits_; }

  // Pays for work. A unit is a byte copied, or what else takes about a nanosecond.
  // ResourceExhausted beyond the limit, now and ever after.
  absl::Status Charge(size_t units);
  // Pays for memory, and for filling it. ResourceExhausted beyond the limit, now and ever after.
  absl::Status Allocate(size_t bytes);
  // Pays for looking for `part` all over `text` in linear time.
  absl::Status ChargeSearch(absl::string_view text, absl::string_view part) {
    return Charge(64 + 4 * text.size() + 4 * part.size());
  }
  // Pays for reading `text` character by character, and for classifying or converting each.
  absl::Status ChargeCharacters(absl::string_view text) { return Charge(16 + 8 * text.size()); }

  // What has been paid for.
  size_t work() const { return work_; }
  size_t memory_bytes() const { return memory_bytes_; }

 private:
  JinjaLimits limits_;
  size_t work_ = 0;
  size_t memory_bytes_ = 0;
};

// Puts text together and pays for it as it grows.
class JinjaTextBuilder {
 public:
  // Borrows `budget`.
  explicit JinjaTextBuilder(JinjaBudget& budget) : budget_(&budget) {}

  // ResourceExhausted beyond the budget; the text is then as it was.
  absl::Status Append(absl::string_view text) {
    if (text.size() > text_.capacity() - text_.size()) {
      if (absl::Status status = Grow(text.size()); !status.ok()) return status;
    }
    absl::Status status = budget_->Charge(text.size() + kUnitsPerAppend);
    if (status.ok()) text_.append(text.data(), text.size());
    return status;
  }

  size_t size() const { return text_.size(); }
  JinjaBudget& budget() const { return *budget_; }
  // The text; the builder is then empty.
  std::string Take() { return std::exchange(text_, std::string()); }

 private:
  static constexpr size_t kUnitsPerAppend = 4;

  absl::Status Grow(size_t bytes);

  JinjaBudget* budget_;
  std::string text_;
};

}  // namespace sdar
