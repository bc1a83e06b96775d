// SPDX-License-Identifier: Apache-2.0
// The free pages of K/V memory. Knows counts and ids, no sequences.
#pragma once

#include <vector>

#include "absl/types/span.h"

#include "common/ids.h"

namespace sdar {

// Hands out page ids 0 .. num_pages - 1. One thread.
class PageAllocator {
 public:
  explicit PageAllocator(int64_t num_pages);

  int64_t num_pages() const { return static_cast<int64_t>(in_use_.size()); }
  int64_t num_free() const { return static_cast<int64_t>(free_.size()); }

  // Requires: count <= num_free().
  std::vector<PageId> Allocate(int64_t count);
  // Requires: the pages are in use.
  void Free(absl::Span<const PageId> pages);

 private:
  std::vector<PageId> free_;  // taken from the back
  std::vector<bool> in_use_;
};

}  // namespace sdar
