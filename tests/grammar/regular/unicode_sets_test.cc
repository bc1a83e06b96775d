// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/regular/unicode_sets.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#define PCRE2_CODE_UNIT_WIDTH 8
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "common/utf8.h"
#include "pcre2.h"
#include "tests/status_matchers.h"

namespace sdar::grammar {
namespace {

constexpr char32_t kFirst = 0x40000;
constexpr char32_t kLast = 0x10FFFF;

// The characters kFirst .. kLast that PCRE2 finds when it looks at each of them.
CodePointSet FoundByPcre(const std::string& name) {
  std::string text;
  for (char32_t c = kFirst; c <= kLast; ++c) AppendUtf8(c, text);
  const std::string pattern = absl::StrCat("\\p{", name, "}");
  int error = 0;
  PCRE2_SIZE offset = 0;
  const std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF, &error,
                    &offset, nullptr),
      pcre2_code_free);
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create_from_pattern(code.get(), nullptr), pcre2_match_data_free);
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  std::vector<CodePointRange> ranges;
  for (PCRE2_SIZE at = 0; at < text.size(); at += 4) {
    if (pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                    PCRE2_NO_UTF_CHECK, match.get(), nullptr) < 0) {
      break;
    }
    at = pcre2_get_ovector_pointer(match.get())[0];
    const char32_t found = ReadUtf8(text, at).code_point;
    ranges.push_back({found, found});
  }
  return CodePointSet(std::move(ranges));
}

// A third of the characters is asked for; this asks for the others.
TEST(UnicodeSetsTest, PlanesThatAreNotLookedAtAreLikeThoseThatAre) {
  const CodePointSet above = CodePointSet::Range(kFirst, kLast);
  for (const char* name : {"L", "Lu", "M", "N", "P", "S", "Z", "C", "Cn", "Co", "Cf", "Alphabetic",
                           "DI", "NChar", "ID_Start", "XID_Continue", "Emoji", "Grapheme_Base"}) {
    SDAR_ASSERT_OK_AND_ASSIGN(const NamedSet set, PropertySet(name));
    const CodePointSet found = FoundByPcre(name);
    EXPECT_TRUE(set.certain.Intersection(above) == found) << name;
    EXPECT_TRUE(set.possible.Intersection(above) == found) << name;
  }
}

}  // namespace
}  // namespace sdar::grammar
