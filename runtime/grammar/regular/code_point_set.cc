// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/regular/code_point_set.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace sdar::grammar {
namespace {

constexpr char32_t kFirstSurrogate = 0xD800;
constexpr char32_t kLastSurrogate = 0xDFFF;
constexpr char32_t kLastCodePoint = 0x10FFFF;

// Adds the scalar values of `range` as one or two ranges.
void AppendScalars(CodePointRange range, std::vector<CodePointRange>& out) {
  range.last = std::min(range.last, kLastCodePoint);
  if (range.first < kFirstSurrogate && range.first <= range.last) {
    out.push_back({range.first, std::min<char32_t>(range.last, kFirstSurrogate - 1)});
  }
  const char32_t above = std::max<char32_t>(range.first, kLastSurrogate + 1);
  if (above <= range.last) out.push_back({above, range.last});
}

}  // namespace

CodePointSet::CodePointSet(std::vector<CodePointRange> ranges) {
  std::vector<CodePointRange> scalars;
  scalars.reserve(ranges.size());
  for (const CodePointRange& range : ranges) AppendScalars(range, scalars);
  std::sort(scalars.begin(), scalars.end());
  for (const CodePointRange& range : scalars) {
    if (!ranges_.empty() && range.first <= ranges_.back().last + 1) {
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    } else {
      ranges_.push_back(range);
    }
  }
}

CodePointSet CodePointSet::All() { return Range(0, kLastCodePoint); }

bool CodePointSet::Has(char32_t code_point) const {
  const auto above =
      std::upper_bound(ranges_.begin(), ranges_.end(), code_point,
                       [](char32_t value, const CodePointRange& r) { return value < r.first; });
  return above != ranges_.begin() && code_point <= std::prev(above)->last;
}

CodePointSet CodePointSet::Union(const CodePointSet& other) const {
  std::vector<CodePointRange> both = ranges_;
  both.insert(both.end(), other.ranges_.begin(), other.ranges_.end());
  return CodePointSet(std::move(both));
}

CodePointSet CodePointSet::Intersection(const CodePointSet& other) const {
  std::vector<CodePointRange> common;
  size_t i = 0;
  size_t j = 0;
  while (i < ranges_.size() && j < other.ranges_.size()) {
    const CodePointRange& a = ranges_[i];
    const CodePointRange& b = other.ranges_[j];
    const char32_t first = std::max(a.first, b.first);
    const char32_t last = std::min(a.last, b.last);
    if (first <= last) common.push_back({first, last});
    (a.last < b.last ? i : j) += 1;
  }
  return CodePointSet(std::move(common));
}

CodePointSet CodePointSet::Complement() const {
  std::vector<CodePointRange> rest;
  char32_t next = 0;
  for (const CodePointRange& range : ranges_) {
    if (next < range.first) rest.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCodePoint) rest.push_back({next, kLastCodePoint});
  return CodePointSet(std::move(rest));
}

}  // namespace sdar::grammar
