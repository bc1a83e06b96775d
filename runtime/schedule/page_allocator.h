// SPDX-License-Identifier: Apache-2.0
// The pages of K/V memory and how many users each has. Knows counts and ids, no sequences.
#pragma once

#include <vector>

#include "common/ids.h"

namespace sdar {

// Hands out page ids 0 .. num_pages - 1; a page is free when it has no user. One thread.
class PageAllocator {
 public:
  explicit PageAllocator(int64_t num_pages);

  int64_t num_pages() const { return static_cast<int64_t>(users_.size()); }
  int64_t num_free() const { return static_cast<int64_t>(free_.size()); }
  int num_users(PageId page) const { return users_[static_cast<size_t>(page.value())]; }

  // A free page, from now on with one user. Requires: num_free() > 0.
  PageId Allocate();
  // One user more. Requires: the page has one.
  void Share(PageId page);
  // One user fewer. Requires: the page has one.
  void Release(PageId page);

 private:
  std::vector<PageId> free_;  // taken from the back
  std::vector<int> users_;    // by page
};

}  // namespace sdar
