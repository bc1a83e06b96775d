// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/request_identity.h"

#include "gtest/gtest.h"

namespace sdar {
namespace {

constexpr char kTraceId[] = "0af7651916cd43dd8448eb211c80319c";

TEST(RequestIdentityTest, TakesTheTraceIdOfATraceparent) {
  const std::string valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  EXPECT_EQ(ParseTraceParent(valid).trace_id, kTraceId);
  // A later version, with and without what this one does not know.
  EXPECT_EQ(ParseTraceParent("cc" + valid.substr(2)).trace_id, kTraceId);
  EXPECT_EQ(ParseTraceParent("cc" + valid.substr(2) + "-what-is-this").trace_id, kTraceId);
}

TEST(RequestIdentityTest, IgnoresAMalformedTraceparent) {
  for (const char* text : {"", "00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
                           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
                           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
                           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ",
                           "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
                           "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                           "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                           "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                           "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                           "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
                           "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                           "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}) {
    EXPECT_EQ(ParseTraceParent(text).trace_id, "") << text;
  }
}

TEST(RequestIdentityTest, ARequestIdIsShortVisibleAscii) {
  EXPECT_TRUE(IsPlainRequestId("a"));
  EXPECT_TRUE(IsPlainRequestId("req_01/ABC:~!{}"));
  EXPECT_TRUE(IsPlainRequestId(std::string(128, 'x')));
  EXPECT_FALSE(IsPlainRequestId(""));
  EXPECT_FALSE(IsPlainRequestId(std::string(129, 'x')));
  EXPECT_FALSE(IsPlainRequestId("two words"));
  EXPECT_FALSE(IsPlainRequestId("a\r\nSet-Cookie: b"));
  EXPECT_FALSE(IsPlainRequestId("\xc3\xa4"));
}

}  // namespace
}  // namespace sdar
