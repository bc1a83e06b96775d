// SPDX-License-Identifier: Apache-2.0
// Strong types for the numbers that name things, so that a slot is never passed where a page is
// meant.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace sdar {

// A vocabulary index. Plain, because token ids are arithmetic data: they are gathered, hashed and
// summed over.
using TokenId = int32_t;

// An integer that only compares and hashes with its own kind.
template <typename Tag, typename Rep>
class StrongId {
 public:
  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  friend constexpr bool operator==(StrongId, StrongId) = default;
  friend constexpr bool operator<(StrongId a, StrongId b) { return a.value_ < b.value_; }

  template <typename H>
  friend H AbslHashValue(H h, StrongId id) {
    return H::combine(std::move(h), id.value_);
  }

 private:
  Rep value_ = 0;
};

// Index of a live sequence, the same on every rank; 0 .. max_sequences - 1.
using SlotId = StrongId<struct SlotIdTag, int32_t>;
// Index of a page of K/V memory, the same on every rank; 0 .. num_pages - 1.
using PageId = StrongId<struct PageIdTag, int32_t>;
// Names a sequence for its whole life on rank 0; never reused.
using SequenceId = StrongId<struct SequenceIdTag, uint64_t>;

}  // namespace sdar
