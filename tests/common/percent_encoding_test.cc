// SPDX-License-Identifier: Apache-2.0
#include "common/percent_encoding.h"

#include "gtest/gtest.h"

namespace sdar {
namespace {

TEST(PercentEncodingTest, SequencesBecomeTheirBytes) {
  EXPECT_EQ(PercentDecoded("JetLM%2FSDAR-8B"), "JetLM/SDAR-8B");
  EXPECT_EQ(PercentDecoded("%e2%9C%93"), "\xe2\x9c\x93");
  EXPECT_EQ(PercentDecoded("plain"), "plain");
}

TEST(PercentEncodingTest, WhatIsNoSequenceStandsForItself) {
  EXPECT_EQ(PercentDecoded("100%"), "100%");
  EXPECT_EQ(PercentDecoded("%4"), "%4");
  EXPECT_EQ(PercentDecoded("%zz%41"), "%zzA");
}

}  // namespace
}  // namespace sdar
