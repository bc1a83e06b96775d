// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/regular/formats.h"

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

#include "runtime/grammar/regular/regex.h"

namespace sdar::grammar {
namespace {

// The 29th of February of leap years; other days of the years 0001 to 9999.
constexpr absl::string_view kDate =
    "(?:(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29|"
    "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)-"
    "(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|"
    "(?:0[13578]|1[02])-31))";
constexpr absl::string_view kTime =
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]+)?"
    "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
// Parts of ISO 8601 in their order, any of which may be missing but not all.
constexpr absl::string_view kDuration = "P(?:[0-9]+W|(?:DATE)(?:TTIME)?|TTIME)";
constexpr absl::string_view kDurationDate =
    "[0-9]+Y(?:[0-9]+M)?(?:[0-9]+D)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D";
constexpr absl::string_view kDurationTime =
    "(?:[0-9]+H(?:[0-9]+M)?(?:[0-9]+(?:\\.[0-9]+)?S)?|[0-9]+M(?:[0-9]+(?:\\.[0-9]+)?S)?|"
    "[0-9]+(?:\\.[0-9]+)?S)";
constexpr absl::string_view kIpv4 =
    "(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}"
    "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
constexpr absl::string_view kUuid =
    "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}";
constexpr absl::string_view kJsonPointer = "(?:/(?:[^~/]|~[01])*)*";
constexpr absl::string_view kLabel = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
// A name has at most 253 characters. Counting labels and their lengths together takes thousands of
// states; this leaves out long names only that nobody has.
constexpr absl::string_view kHostname =
    "(?:(?:LABEL\\.){0,2}LABEL|(?:SHORT\\.){0,7}SHORT|(?:TINY\\.){0,34}TINY)";
constexpr absl::string_view kShortLabel = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,28}[A-Za-z0-9])?";
constexpr absl::string_view kTinyLabel = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,4}[A-Za-z0-9])?";
// Lower-case letters of scripts that are written from the left. Thirteen of them take at most 63
// characters in Punycode.
constexpr absl::string_view kIdnLabel =
    "(?:[a-z0-9](?:[a-z0-9](?:[a-z0-9](?:[a-z0-9-]{0,59}[a-z0-9])?)?)?|"
    "[a-z\\u00e0-\\u00f6\\u00f8-\\u00ff\\u03b1-\\u03c1\\u03c3-\\u03c9\\u0430-\\u044f"
    "\\u3041-\\u3093\\u30a1-\\u30f3\\u4e00-\\u9fa5\\uac00-\\ud7a3]{1,13})";

// What URIs are made of (RFC 3986). CHAR is what its unreserved characters are, with more for IRIs.
constexpr absl::string_view kUri = "[A-Za-z][A-Za-z0-9+.-]*:HIER(?:\\?QUERY)?(?:#QUERY)?";
constexpr absl::string_view kRelative = "(?:RELATIVE)(?:\\?QUERY)?(?:#QUERY)?";
constexpr absl::string_view kHierarchy =
    "(?://AUTHORITY(?:/PCHAR*)*|/(?:PCHAR+(?:/PCHAR*)*)?|PCHAR+(?:/PCHAR*)*|)";
constexpr absl::string_view kRelativePart =
    "(?://AUTHORITY(?:/PCHAR*)*|/(?:PCHAR+(?:/PCHAR*)*)?|NOCOLON+(?:/PCHAR*)*|)";
constexpr absl::string_view kAuthority =
    "(?:(?:[CHAR:]|PERCENT)*@)?(?:\\[IPV6\\]|(?:[CHAR]|PERCENT)*)(?::[0-9]*)?";
constexpr absl::string_view kUriCharacters = "-A-Za-z0-9_.~!$&'()*+,;=";
constexpr absl::string_view kIriCharacters =
    "-\\u00a0-\\ud7ff\\uf900-\\ufdcf\\ufdf0-\\uffefA-Za-z0-9_.~!$&'()*+,;=";
constexpr absl::string_view kPercent = "%[0-9A-Fa-f]{2}";
// Literals and expressions (RFC 6570).
constexpr absl::string_view kUriTemplate =
    "(?:[!#$&(-;=?-\\[\\]_a-z~\\u00a0-\\ud7ff\\uf900-\\ufdcf\\ufdf0-\\uffef]|PERCENT|"
    "\\{[+#./;?&]?VARIABLE(?:,VARIABLE)*\\})*";
constexpr absl::string_view kVariable =
    "[A-Za-z0-9_](?:\\.?(?:[A-Za-z0-9_]|PERCENT))*(?::[1-9][0-9]{0,2}|\\*)?";

constexpr absl::string_view kLocalCharacters = "A-Za-z0-9!#$%&'*+/=?^_`{|}~-";

// Eight groups, or fewer with a :: for what is missing. The last two may be an IPv4 address.
std::string Ipv6Pattern() {
  const std::string group = "[0-9A-Fa-f]{1,4}";
  const std::string last = absl::StrCat("(?:", group, ":", group, "|", kIpv4, ")");
  std::string pattern = absl::StrCat("(?:(?:", group, ":){6}", last);
  for (int before = 0; before <= 7; ++before) {
    absl::StrAppend(&pattern, "|");
    if (before > 0) {
      absl::StrAppend(&pattern, "(?:(?:", group, ":){0,", before - 1, "}", group, ")?");
    }
    absl::StrAppend(&pattern, "::");
    if (before <= 5) absl::StrAppend(&pattern, "(?:", group, ":){", 5 - before, "}", last);
    if (before == 6) absl::StrAppend(&pattern, group);
  }
  return pattern + ")";
}

// `characters`: what may stand in a URI besides delimiters.
std::string UriPattern(absl::string_view form, absl::string_view characters) {
  std::string pattern = absl::StrReplaceAll(
      form, {{"HIER", kHierarchy}, {"RELATIVE", kRelativePart}, {"QUERY", "(?:PCHAR|[/?])*"}});
  pattern = absl::StrReplaceAll(pattern, {{"AUTHORITY", kAuthority}});
  pattern = absl::StrReplaceAll(pattern, {{"NOCOLON", "(?:[CHAR@]|PERCENT)"},
                                          {"PCHAR", "(?:[CHAR:@]|PERCENT)"},
                                          {"IPV6", Ipv6Pattern()}});
  return absl::StrReplaceAll(pattern, {{"CHAR", characters}, {"PERCENT", kPercent}});
}

std::string UriReferencePattern(absl::string_view characters) {
  return absl::StrCat(UriPattern(kUri, characters), "|", UriPattern(kRelative, characters));
}

std::string HostnamePattern() {
  return absl::StrReplaceAll(kHostname,
                             {{"LABEL", kLabel}, {"SHORT", kShortLabel}, {"TINY", kTinyLabel}});
}

std::string DurationPattern() {
  return absl::StrReplaceAll(kDuration, {{"DATE", kDurationDate}, {"TIME", kDurationTime}});
}

// `more`: characters of names besides those of ASCII.
std::string EmailPattern(absl::string_view more) {
  const std::string atom = absl::StrCat("[", more, kLocalCharacters, "]+");
  const std::string label =
      absl::StrCat("[A-Za-z0-9", more, "](?:[A-Za-z0-9", more, "-]{0,61}[A-Za-z0-9", more, "])?");
  return absl::StrCat("(?:", atom, "(?:\\.", atom,
                      ")*|\"(?:[ !#-\\[\\]-~]|\\\\[ -~])*\")@(?:", label, "(?:\\.", label, ")*|\\[",
                      kIpv4, "\\]|\\[IPv6:", Ipv6Pattern(), "\\])");
}

std::string UriTemplatePattern() {
  return absl::StrReplaceAll(absl::StrReplaceAll(kUriTemplate, {{"VARIABLE", kVariable}}),
                             {{"PERCENT", kPercent}});
}

// Regular expressions of plain parts, in groups three deep.
std::string RegexPattern() {
  const std::string escape = "\\\\[dDwWsSnrt.\\\\/^$*+?()\\[\\]{}|-]";
  const std::string member = "(?:[^\\\\\\[\\]^\\-&~|]|a-z|A-Z|0-9|" + escape + ")";
  const std::string atom = "(?:[^\\\\()\\[\\]{}*+?|^$]|" + escape + "|\\[\\^?" + member + "+\\])";
  const std::string times = "(?:(?:[*+?]|\\{[0-9]{1,2},?\\})(?:\\?|))?";
  std::string group = atom;
  std::string whole;
  for (int depth = 0; depth <= 3; ++depth) {
    whole = absl::StrCat("\\^?(?:", group, times, ")*\\$?(?:\\|\\^?(?:", group, times, ")*\\$?)*");
    group = absl::StrCat("(?:", atom, "|\\((?:\\?:)?", whole, "\\))");
  }
  return whole;
}

std::string PatternOf(absl::string_view name) {
  if (name == "date") return std::string(kDate);
  if (name == "time") return std::string(kTime);
  if (name == "date-time") return absl::StrCat(kDate, "T", kTime);
  if (name == "duration") return DurationPattern();
  if (name == "email") return EmailPattern("");
  if (name == "idn-email") return EmailPattern("\\u00a0-\\U0010ffff");
  if (name == "hostname") return HostnamePattern();
  if (name == "idn-hostname") {
    return absl::StrReplaceAll("(?:LABEL\\.){0,2}LABEL", {{"LABEL", kIdnLabel}});
  }
  if (name == "ipv4") return std::string(kIpv4);
  if (name == "ipv6") return Ipv6Pattern();
  if (name == "uuid") return std::string(kUuid);
  if (name == "uri") return UriPattern(kUri, kUriCharacters);
  if (name == "uri-reference") return UriReferencePattern(kUriCharacters);
  if (name == "iri") return UriPattern(kUri, kIriCharacters);
  if (name == "iri-reference") return UriReferencePattern(kIriCharacters);
  if (name == "uri-template") return UriTemplatePattern();
  if (name == "json-pointer") return std::string(kJsonPointer);
  if (name == "relative-json-pointer")
    return absl::StrCat("(?:0|[1-9]+0?)(?:#|", kJsonPointer, ")");
  if (name == "regex") return RegexPattern();
  return "";
}

}  // namespace

std::optional<Dfa> FormatDfa(absl::string_view name) {
  const std::string pattern = PatternOf(name);
  if (pattern.empty()) return std::nullopt;
  absl::StatusOr<Dfa> dfa = CompileRegex(pattern, RegexUse::kWholeText);
  if (!dfa.ok()) return std::nullopt;  // a pattern of ours that is wrong; tests compile each
  return *std::move(dfa);
}

}  // namespace sdar::grammar
