// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/normalizer.h"

#include <algorithm>
#include <vector>

#include "common/status_macros.h"
#include "common/utf8.h"
#include "utf8proc.h"

namespace sdar {
namespace {

constexpr int kMaxDecomposition = 32;  // the longest canonical decomposition has four code points

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

std::vector<utf8proc_int32_t> Decompose(absl::string_view text) {
  constexpr auto kOptions = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
  std::vector<utf8proc_int32_t> out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    utf8proc_int32_t buffer[kMaxDecomposition];
    int last_boundary = 0;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(step.code_point),
                                               buffer, kMaxDecomposition, kOptions, &last_boundary);
    SDAR_CHECK(count >= 0 && count <= kMaxDecomposition);
    out.insert(out.end(), buffer, buffer + count);
    i += step.length;
  }
  return out;
}

utf8proc_propval_t CombiningClass(utf8proc_int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

// Canonical ordering. utf8proc's own is an insertion sort, quadratic in a long run of marks.
void OrderMarks(std::vector<utf8proc_int32_t>& code_points) {
  const auto is_starter = [](utf8proc_int32_t c) { return CombiningClass(c) == 0; };
  for (auto it = code_points.begin(); it != code_points.end();) {
    const auto first = std::find_if_not(it, code_points.end(), is_starter);
    it = std::find_if(first, code_points.end(), is_starter);
    std::stable_sort(first, it, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return CombiningClass(a) < CombiningClass(b);
    });
  }
}

}  // namespace

bool IsNfc(absl::string_view text) { return IsAscii(text); }

std::string NormalizeNfc(absl::string_view text) {
  if (IsNfc(text)) return std::string(text);
  std::vector<utf8proc_int32_t> code_points = Decompose(text);
  OrderMarks(code_points);
  const auto length = utf8proc_normalize_utf32(
      code_points.data(), static_cast<utf8proc_ssize_t>(code_points.size()),
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  SDAR_CHECK(length >= 0);
  std::string out;
  out.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < length; ++i) {
    AppendUtf8(static_cast<char32_t>(code_points[static_cast<size_t>(i)]), out);
  }
  return out;
}

}  // namespace sdar
