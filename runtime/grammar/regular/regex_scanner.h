// SPDX-License-Identifier: Apache-2.0
// Reads a pattern character by character.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "common/utf8.h"
#include "runtime/grammar/regular/unicode_sets.h"

namespace sdar::grammar {

// A place in a pattern. Not thread-safe.
class RegexScanner {
 public:
  // What Peek gives at the end; no pattern holds it.
  static constexpr char32_t kEnd = 0xFFFFFFFF;

  explicit RegexScanner(std::u32string pattern) : pattern_(std::move(pattern)) {}

  size_t position() const { return position_; }
  void Return(size_t position) { position_ = position; }
  bool AtEnd() const { return position_ >= pattern_.size(); }
  // The character `ahead` of the next one.
  char32_t Peek(size_t ahead = 0) const {
    return position_ + ahead < pattern_.size() ? pattern_[position_ + ahead] : kEnd;
  }
  // Requires: not at the end.
  char32_t Take() { return pattern_[position_++]; }
  bool TakeIf(char32_t wanted) {
    if (Peek() != wanted) return false;
    ++position_;
    return true;
  }
  // Takes ASCII `wanted` if all of it comes next.
  bool TakeIf(absl::string_view wanted) {
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (Peek(i) != static_cast<char32_t>(wanted[i])) return false;
    }
    position_ += wanted.size();
    return true;
  }
  // Characters first .. last - 1, as UTF-8.
  std::string Text(size_t first, size_t last) const {
    std::string text;
    for (size_t i = first; i < last && i < pattern_.size(); ++i) AppendUtf8(pattern_[i], text);
    return text;
  }
  // Sets that the pattern has named so far: to find one takes long.
  absl::flat_hash_map<std::string, NamedSet>& named_sets() { return named_sets_; }
  // InvalidArgument that names a character, counted from 0.
  absl::Status Error(size_t position, absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("the regular expression at character ", position, ": ", what));
  }

 private:
  std::u32string pattern_;
  size_t position_ = 0;
  absl::flat_hash_map<std::string, NamedSet> named_sets_;
};

}  // namespace sdar::grammar
