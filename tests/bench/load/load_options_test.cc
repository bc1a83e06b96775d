// SPDX-License-Identifier: Apache-2.0
// Flags of a load run that cannot work are named.
#include "bench/load/load_options.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

LoadOptions FiveCalls() {
  LoadOptions options;
  options.server = "127.0.0.1:1";
  options.rate = 10;
  options.requests = 5;
  return options;
}

std::string Message(const LoadOptions& options) {
  return std::string(options.Validate().message());
}

TEST(LoadOptionsTest, AcceptsOpenAndClosedLoops) {
  LoadOptions options = FiveCalls();
  EXPECT_TRUE(options.Validate().ok());
  options.rate = 0;
  options.clients = 4;
  options.requests = 0;
  options.duration_seconds = 2;
  EXPECT_TRUE(options.Validate().ok());
}

TEST(LoadOptionsTest, WantsOneLoopAndAnEnd) {
  LoadOptions options = FiveCalls();
  options.clients = 4;
  EXPECT_THAT(Message(options), HasSubstr("--rate"));
  options = FiveCalls();
  options.rate = 0;
  EXPECT_THAT(Message(options), HasSubstr("--clients"));
  options = FiveCalls();
  options.requests = 0;
  EXPECT_THAT(Message(options), HasSubstr("--duration"));
}

TEST(LoadOptionsTest, NamesTheFlagThatIsOutOfRange) {
  LoadOptions options = FiveCalls();
  options.cancel_fraction = 1.5;
  EXPECT_THAT(Message(options), HasSubstr("--cancel-fraction"));
  options = FiveCalls();
  options.rate = -1;
  EXPECT_THAT(Message(options), HasSubstr("--rate"));
  options = FiveCalls();
  options.prefix_groups = 0;
  EXPECT_THAT(Message(options), HasSubstr("--prefix-groups"));
  options = FiveCalls();
  options.output_tokens = "many";
  EXPECT_THAT(Message(options), HasSubstr("--output-tokens"));
}

TEST(LoadOptionsTest, ARateWithoutAServerIsAMistake) {
  LoadOptions options;
  EXPECT_TRUE(options.Validate().ok());
  options.rate = 3;
  EXPECT_THAT(Message(options), HasSubstr("--server"));
}

}  // namespace
}  // namespace sdar
