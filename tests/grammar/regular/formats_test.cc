// SPDX-License-Identifier: Apache-2.0
// Tests of formats against texts whose format is known.
#include "runtime/grammar/regular/formats.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "runtime/grammar/regular/dfa_operations.h"

namespace sdar::grammar {
namespace {

struct FormatCase {
  const char* name;
  std::vector<std::string> valid;
  std::vector<std::string> invalid;
};

const FormatCase kFormatCases[] = {
    {"date",
     {"2024-02-29", "2000-02-29", "1999-12-31", "0001-01-01", "2023-04-30"},
     {"2023-02-29", "1900-02-29", "2023-04-31", "2023-13-01", "0000-01-01", "2023-1-1", ""}},
    {"time",
     {"12:00:00Z", "23:59:59.999+05:30", "00:00:00-00:00"},
     {"12:00:00", "24:00:00Z", "12:60:00Z", "12:00:60Z", "12:00Z", "12:00:00+24:00"}},
    {"date-time",
     {"2024-12-31T23:59:59.999Z", "2032-01-01T12:00:00+01:00"},
     {"2024-12-31 23:59:59Z", "2024-02-30T00:00:00Z", "2022-01-01T12:00:00"}},
    {"duration",
     {"P3DT12H30M5S", "P1D", "P4W", "PT0.5S", "P1Y2D", "PT1H30S"},
     {"P", "PT", "P1DT", "P1X", "1D", "P1D2H", "P2D1Y", "P1W2D"}},
    {"email",
     {"john.doe@example.com", "a+b@x.org", "\"a b\"@x", "x@[127.0.0.1]"},
     {"john", "a@", "@b", "a..b@x", ".a@x", "a@x..y", "a b@x"}},
    {"idn-email", {"\u5b9e\u4f8b@\u4f8b.com", "a@b"}, {"a"}},
    {"hostname",
     {"localhost", "a-b.example.com", "xn--4gbwdl.xn--wgbh1c", std::string(63, 'a')},
     {"-a", "a-", "a..b", ".a", "a_b", "", std::string(64, 'a')}},
    {"idn-hostname", {"\u00fcber.example", "\u65e5\u672c"}, {"-a", "a_b", ""}},
    {"ipv4", {"0.0.0.0", "255.1.20.199"}, {"256.0.0.1", "01.2.3.4", "1.2.3", "1.2.3.4.5"}},
    {"ipv6",
     {"::", "::1", "1:2:3:4:5:6:7:8", "fe80::1:2", "::ffff:1.2.3.4",
      "1:2:3:4:5:6:7::", "1::4:5:6:7:8"},
     {":", "1:2:3:4:5:6:7", "1::2::3", "12345::", "1:2:3:4:5:6:7:8:9", "::1.2.3", "fe80::1%eth0"}},
    {"uuid",
     {"123e4567-e89b-12d3-a456-426655440000", "ABCDEF00-0000-0000-0000-000000000000"},
     {"123e4567e89b12d3a456426655440000", "123e4567-e89b-12d3-a456-42665544000"}},
    {"uri",
     {"https://example.com/a?b=c#d", "mailto:a@b", "urn:x:y", "http://[::1]:80/", "irc://x/y"},
     {"example.com", "//x", "http://a b", "", "http://\u00e9"}},
    {"uri-reference", {"/a/b?c", "#x", "../a", "", "http://x", "a:b"}, {"\\a", "a b", "%1"}},
    {"iri", {"http://\u0192\u00f8\u00f8.com/?\u2202"}, {"/abc", "http:// "}},
    {"iri-reference", {"/\u00e2", "#\u0192"}, {"\\\\a"}},
    {"uri-template", {"http://x/{id}{?a,b*}", "{+path:3}", "x"}, {"{", "{}", "a}", "{a b}"}},
    {"json-pointer", {"", "/a/~0~1", "/"}, {"a", "/~2", "#/a"}},
    {"relative-json-pointer", {"0", "1/a", "2#"}, {"", "/a", "01", "-1"}},
    {"regex", {"", "^a(b|c)*[xyz]$", "\\d+"}, {"[", "(", "a)", "*"}},
};

TEST(Formats, TakeWhatHasTheFormatAndNothingElse) {
  for (const FormatCase& c : kFormatCases) {
    const std::optional<Dfa> dfa = FormatDfa(c.name);
    ASSERT_TRUE(dfa.has_value()) << c.name;
    for (const std::string& text : c.valid) EXPECT_TRUE(Contains(*dfa, text)) << c.name << text;
    for (const std::string& text : c.invalid) EXPECT_FALSE(Contains(*dfa, text)) << c.name << text;
  }
}

TEST(Formats, KnowNoOtherNames) {
  for (const char* name : {"", "Date", "URI", "int32", "color", "binary", "url"}) {
    EXPECT_FALSE(FormatDfa(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace sdar::grammar
