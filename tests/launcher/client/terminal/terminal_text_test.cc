// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal/terminal_text.h"

#include "gtest/gtest.h"

namespace sdar {
namespace {

TEST(TerminalTextTest, ControlCharactersNeverPass) {
  EXPECT_EQ(ForTerminal("a\x1b[31m\x07\tb\n\x7f\u009b"), "a\uFFFD[31m\uFFFD\tb\n\uFFFD\uFFFD");
  EXPECT_EQ(ForTerminal("\xff"), "\uFFFD");
  EXPECT_EQ(ColumnsOf(absl::string_view("a\u6f22\u0301")), 3);
}

}  // namespace
}  // namespace sdar
