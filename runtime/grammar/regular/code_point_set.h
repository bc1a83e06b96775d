// SPDX-License-Identifier: Apache-2.0
// Sets of code points: what one character of a pattern may be.
#pragma once

#include <vector>

#include "absl/types/span.h"

namespace sdar::grammar {

// The code points first .. last.
struct CodePointRange {
  char32_t first = 0;
  char32_t last = 0;
  friend bool operator==(const CodePointRange&, const CodePointRange&) = default;
  friend auto operator<=>(const CodePointRange&, const CodePointRange&) = default;
};

// A set of Unicode scalar values, which are U+0000 .. U+10FFFF without the surrogates. A value;
// const use is thread-safe.
class CodePointSet {
 public:
  CodePointSet() = default;
  // Ranges in any order, which may overlap. Surrogates among them are left out.
  explicit CodePointSet(std::vector<CodePointRange> ranges);
  // Every scalar value.
  static CodePointSet All();
  static CodePointSet Of(char32_t code_point) { return Range(code_point, code_point); }
  static CodePointSet Range(char32_t first, char32_t last) { return CodePointSet({{first, last}}); }

  bool empty() const { return ranges_.empty(); }
  // Ascending, disjoint, and joined where they touch.
  absl::Span<const CodePointRange> ranges() const& { return ranges_; }
  absl::Span<const CodePointRange> ranges() && = delete;  // it would outlive the set
  bool Has(char32_t code_point) const;

  CodePointSet Union(const CodePointSet& other) const;
  CodePointSet Intersection(const CodePointSet& other) const;
  // Every scalar value that is not in this set.
  CodePointSet Complement() const;
  friend bool operator==(const CodePointSet&, const CodePointSet&) = default;

 private:
  std::vector<CodePointRange> ranges_;
};

}  // namespace sdar::grammar
