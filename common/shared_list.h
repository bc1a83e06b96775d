// SPDX-License-Identifier: Apache-2.0
// A list that is made once and shared by those who hold it.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace sdar {

// Immutable; copies share the items. Const use is thread-safe.
template <typename T>
class SharedList {
 public:
  SharedList() = default;
  // Implicit: a list is assigned as a vector is.
  SharedList(std::vector<T> items)  // NOLINT(google-explicit-constructor)
      : items_(items.empty() ? nullptr : std::make_shared<const std::vector<T>>(std::move(items))) {
  }
  SharedList(std::initializer_list<T> items) : SharedList(std::vector<T>(items)) {}

  const T* begin() const { return items_ == nullptr ? nullptr : items_->data(); }
  const T* end() const { return begin() + size(); }
  size_t size() const { return items_ == nullptr ? 0 : items_->size(); }
  bool empty() const { return size() == 0; }
  const T& operator[](size_t i) const { return (*items_)[i]; }
  operator absl::Span<const T>() const {  // NOLINT(google-explicit-constructor)
    return absl::MakeConstSpan(begin(), size());
  }
  friend bool operator==(const SharedList& a, const SharedList& b) {
    return absl::Span<const T>(a) == absl::Span<const T>(b);
  }

 private:
  std::shared_ptr<const std::vector<T>> items_;  // null: empty
};

}  // namespace sdar
