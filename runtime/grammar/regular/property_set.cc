// SPDX-License-Identifier: Apache-2.0
// PropertySet: PCRE2 knows the properties of Unicode, so it is asked.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#define PCRE2_CODE_UNIT_WIDTH 8
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "common/printable.h"
#include "common/status_macros.h"
#include "common/utf8.h"
#include "pcre2.h"
#include "runtime/grammar/regular/unicode_sets.h"

namespace sdar::grammar {
namespace {

struct PropertyDeleter {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

// Characters of which PCRE2 is asked. Nothing is assigned in planes 4 to 13, and planes 15 and 16
// are for private use, so one plane speaks for those like it: a third of the characters for all.
struct PlaneSample {
  char32_t first;
  char32_t last;
  char32_t planes;  // that it speaks for
};
constexpr PlaneSample kSamples[] = {
    {0, 0x3FFFF, 1}, {0x40000, 0x4FFFF, 10}, {0xE0000, 0xEFFFF, 1}, {0xF0000, 0xFFFFF, 2}};
constexpr char32_t kPlane = 0x10000;

// The characters of a sample in order, as UTF-8.
std::string CharactersOf(const PlaneSample& sample) {
  std::string text;
  text.reserve((sample.last - sample.first + 1) * size_t{4});
  const CodePointSet all = CodePointSet::All();
  for (const CodePointRange& range : all.ranges()) {
    const char32_t last = std::min(range.last, sample.last);
    for (char32_t c = std::max(range.first, sample.first); c <= last; ++c) AppendUtf8(c, text);
  }
  return text;
}

// Made once, 1.6 MB: it takes as long to write as to search.
const std::vector<std::string>& CharactersOfSamples() {
  static const std::vector<std::string> texts = [] {
    std::vector<std::string> made;
    for (const PlaneSample& sample : kSamples) made.push_back(CharactersOf(sample));
    return made;
  }();
  return texts;
}

// The characters of which PCRE2 says that they have the property `name`.
absl::StatusOr<CodePointSet> AskPcre(const std::string& name) {
  const std::string pattern = absl::StrCat("\\p{", name, "}++");
  int error = 0;
  PCRE2_SIZE offset = 0;
  const std::unique_ptr<pcre2_code, PropertyDeleter> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF, &error,
                    &offset, nullptr));
  if (code == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("unknown property ", Printable(name)));
  }
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // only faster
  const std::unique_ptr<pcre2_match_data, PropertyDeleter> match(
      pcre2_match_data_create_from_pattern(code.get(), nullptr));
  std::vector<CodePointRange> ranges;
  for (size_t sample = 0; sample < std::size(kSamples); ++sample) {
    const std::string& text = CharactersOfSamples()[sample];
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    for (PCRE2_SIZE at = 0; at < text.size();) {
      if (pcre2_match(code.get(), subject, text.size(), at, PCRE2_NO_UTF_CHECK, match.get(),
                      nullptr) < 0) {
        break;
      }
      const PCRE2_SIZE* found = pcre2_get_ovector_pointer(match.get());
      size_t last = found[1] - 1;
      while ((static_cast<uint8_t>(text[last]) & 0xC0) == 0x80) --last;
      const char32_t from = ReadUtf8(text, found[0]).code_point;
      const char32_t to = ReadUtf8(text, last).code_point;
      for (char32_t plane = 0; plane < kSamples[sample].planes; ++plane) {
        ranges.push_back({from + plane * kPlane, to + plane * kPlane});
      }
      at = found[1];
    }
  }
  return CodePointSet(std::move(ranges));
}

// The name without "General_Category=" and its like. `script` says that it names a script.
std::string PlainName(absl::string_view name, bool* script) {
  for (const absl::string_view prefix : {"General_Category=", "gc="}) {
    if (absl::ConsumePrefix(&name, prefix)) return std::string(name);
  }
  for (const absl::string_view prefix : {"Script=", "sc=", "Script_Extensions=", "scx="}) {
    if (!absl::ConsumePrefix(&name, prefix)) continue;
    *script = true;
    return std::string(name);
  }
  if (absl::StartsWith(name, "Is")) name.remove_prefix(2);  // Java and .NET
  return std::string(name);
}

// Long names of general categories; PCRE2 knows the short ones only.
std::string ShortCategory(const std::string& name) {
  static constexpr std::pair<absl::string_view, absl::string_view> kNames[] = {
      {"Letter", "L"},
      {"Uppercase_Letter", "Lu"},
      {"Lowercase_Letter", "Ll"},
      {"Titlecase_Letter", "Lt"},
      {"Cased_Letter", "L&"},
      {"LC", "L&"},
      {"Modifier_Letter", "Lm"},
      {"Other_Letter", "Lo"},
      {"Mark", "M"},
      {"Combining_Mark", "M"},
      {"Nonspacing_Mark", "Mn"},
      {"Spacing_Mark", "Mc"},
      {"Enclosing_Mark", "Me"},
      {"Number", "N"},
      {"Decimal_Number", "Nd"},
      {"digit", "Nd"},
      {"Letter_Number", "Nl"},
      {"Other_Number", "No"},
      {"Punctuation", "P"},
      {"punct", "P"},
      {"Connector_Punctuation", "Pc"},
      {"Dash_Punctuation", "Pd"},
      {"Open_Punctuation", "Ps"},
      {"Close_Punctuation", "Pe"},
      {"Initial_Punctuation", "Pi"},
      {"Final_Punctuation", "Pf"},
      {"Other_Punctuation", "Po"},
      {"Symbol", "S"},
      {"Math_Symbol", "Sm"},
      {"Currency_Symbol", "Sc"},
      {"Modifier_Symbol", "Sk"},
      {"Other_Symbol", "So"},
      {"Separator", "Z"},
      {"Space_Separator", "Zs"},
      {"Line_Separator", "Zl"},
      {"Paragraph_Separator", "Zp"},
      {"Other", "C"},
      {"Control", "Cc"},
      {"cntrl", "Cc"},
      {"Format", "Cf"},
      {"Surrogate", "Cs"},
      {"Private_Use", "Co"},
      {"Unassigned", "Cn"},
  };
  for (const auto& [longer, shorter] : kNames) {
    if (name == longer) return std::string(shorter);
  }
  return name;
}

}  // namespace

absl::StatusOr<NamedSet> PropertySet(absl::string_view name) {
  bool script = false;
  const std::string plain = ShortCategory(PlainName(name, &script));
  for (const char c : plain) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '&') continue;
    return absl::InvalidArgumentError(absl::StrCat("unknown property ", Printable(name)));
  }
  if (!script) {  // a name of a script alone means its extensions to PCRE2
    SDAR_ASSIGN_OR_RETURN(CodePointSet set, AskPcre(plain));
    const absl::StatusOr<CodePointSet> alone = AskPcre("sc:" + plain);
    if (!alone.ok()) return NamedSet{set, set};
    return NamedSet{set.Intersection(*alone), set.Union(*alone)};
  }
  SDAR_ASSIGN_OR_RETURN(const CodePointSet alone, AskPcre("sc:" + plain));
  SDAR_ASSIGN_OR_RETURN(const CodePointSet extended, AskPcre("scx:" + plain));
  return NamedSet{alone.Intersection(extended), alone.Union(extended)};
}

}  // namespace sdar::grammar
