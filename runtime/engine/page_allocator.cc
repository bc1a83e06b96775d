// SPDX-License-Identifier: Apache-2.0
#include "runtime/engine/page_allocator.h"

#include "common/status_macros.h"

namespace sdar {

PageAllocator::PageAllocator(int64_t num_pages) : in_use_(static_cast<size_t>(num_pages), false) {
  for (int64_t i = num_pages - 1; i >= 0; --i) free_.emplace_back(static_cast<int32_t>(i));
}

std::vector<PageId> PageAllocator::Allocate(int64_t count) {
  SDAR_CHECK(count >= 0 && count <= num_free());
  std::vector<PageId> pages;
  for (int64_t i = 0; i < count; ++i) {
    pages.push_back(free_.back());
    in_use_[static_cast<size_t>(free_.back().value())] = true;
    free_.pop_back();
  }
  return pages;
}

void PageAllocator::Free(absl::Span<const PageId> pages) {
  for (PageId page : pages) {
    SDAR_CHECK(in_use_[static_cast<size_t>(page.value())]);
    in_use_[static_cast<size_t>(page.value())] = false;
    free_.push_back(page);
  }
}

}  // namespace sdar
