// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/page_allocator.h"

#include "common/status_macros.h"

namespace sdar {

PageAllocator::PageAllocator(int64_t num_pages) : users_(static_cast<size_t>(num_pages), 0) {
  for (int64_t i = num_pages - 1; i >= 0; --i) free_.emplace_back(static_cast<int32_t>(i));
}

PageId PageAllocator::Allocate() {
  SDAR_CHECK(!free_.empty());
  const PageId page = free_.back();
  free_.pop_back();
  users_[static_cast<size_t>(page.value())] = 1;
  return page;
}

void PageAllocator::Share(PageId page) {
  SDAR_CHECK(num_users(page) > 0);
  ++users_[static_cast<size_t>(page.value())];
}

void PageAllocator::Release(PageId page) {
  SDAR_CHECK(num_users(page) > 0);
  if (--users_[static_cast<size_t>(page.value())] == 0) free_.push_back(page);
}

}  // namespace sdar
