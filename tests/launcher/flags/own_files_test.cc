// SPDX-License-Identifier: Apache-2.0
#include "launcher/flags/own_files.h"

#include "gtest/gtest.h"

namespace sdar {
namespace {

TEST(OwnFilesTest, WhatLiesBesideTheProgramIsFound) {
  EXPECT_EQ(FindOwnFile("common_test"), SDAR_BIN_DIR "/common_test");
}

TEST(OwnFilesTest, NothingElseIs) { EXPECT_EQ(FindOwnFile("no such file"), ""); }

}  // namespace
}  // namespace sdar
