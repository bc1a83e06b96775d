// SPDX-License-Identifier: Apache-2.0
// The memory that bodies of requests may hold together.
#pragma once

#include <atomic>
#include <cstddef>

namespace sdar {

// Counts what bodies hold beyond their first kFreeBytes: those are bounded by the number of
// connections already, so that an ordinary request finds room while large ones hold all there is.
// Thread-safe.
class BodyBudget {
 public:
  static constexpr size_t kFreeBytes = size_t{64} << 10;

  explicit BodyBudget(size_t bytes) : left_(bytes) {}

  // One body's share, given back when it is destroyed.
  class Share {
   public:
    explicit Share(BodyBudget& budget) : budget_(&budget) {}
    ~Share() { Clear(); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    // Makes the share that of a body of `bytes`, at least as many as before; false, and no change,
    // where there is no room.
    bool GrowTo(size_t bytes) {
      const size_t counted = bytes > kFreeBytes ? bytes - kFreeBytes : 0;
      if (counted <= counted_) return true;
      if (!budget_->Take(counted - counted_)) return false;
      counted_ = counted;
      return true;
    }
    void Clear() {
      budget_->left_.fetch_add(counted_);
      counted_ = 0;
    }

   private:
    BodyBudget* budget_;
    size_t counted_ = 0;
  };

 private:
  bool Take(size_t bytes) {
    size_t left = left_.load();
    while (left >= bytes) {
      if (left_.compare_exchange_weak(left, left - bytes)) return true;
    }
    return false;
  }

  std::atomic<size_t> left_;
};

}  // namespace sdar
