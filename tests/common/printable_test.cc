// SPDX-License-Identifier: Apache-2.0
#include "common/printable.h"

#include <string>

#include "gtest/gtest.h"

#include "common/json.h"

namespace sdar {
namespace {

TEST(PrintableTest, TextStaysAsItIs) {
  const std::string text = "a \\n \"b\" {} \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80 ~";
  EXPECT_EQ(Printable(text), text);
  EXPECT_EQ(Printable(""), "");
}

TEST(PrintableTest, EverythingThatEndsALineIsEscaped) {
  EXPECT_EQ(Printable("a\nb\rc\td\x0b\x0c"), "a\\nb\\rc\\td\\x0b\\x0c");
  EXPECT_EQ(Printable("\xC2\x85|\xE2\x80\xA8|\xE2\x80\xA9"), "\\u0085|\\u2028|\\u2029");
  EXPECT_EQ(Printable(std::string("\0", 1)), "\\x00");
}

TEST(PrintableTest, WhatMovesTheCursorOrReordersTextIsEscaped) {
  EXPECT_EQ(Printable("\x1b[2J\x7f\xC2\x9B"), "\\x1b[2J\\x7f\\u009b");
  EXPECT_EQ(Printable("\xE2\x80\xAE|\xE2\x81\xA6|\xEF\xBB\xBF"), "\\u202e|\\u2066|\\ufeff");
}

TEST(PrintableTest, BytesThatAreNoUtf8AreEscaped) {
  EXPECT_EQ(Printable("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(Printable("\xE2\x82"), "\\xe2\\x82");                    // cut
  EXPECT_EQ(Printable("\xC0\x8A"), "\\xc0\\x8a");                    // a line end, overlong
  EXPECT_EQ(Printable("\xE0\x80\x8A"), "\\xe0\\x80\\x8a");           // the same
  EXPECT_EQ(Printable("\xED\xA0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(Printable("\xF4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  EXPECT_EQ(Printable("\xC3\x28"), "\\xc3(");
}

TEST(PrintableTest, JsonStaysTheSameJson) {
  const Json value = {{"key\xE2\x80\xA8", "a\x7f\xC2\x85\n\xC3\xA4"}};
  const std::string text = PrintableJson(DumpJson(value));
  EXPECT_EQ(text, "{\"key\\u2028\":\"a\\u007f\\u0085\\n\xC3\xA4\"}");
  EXPECT_EQ(ParseJson(text, "text").value(), value);
}

}  // namespace
}  // namespace sdar
