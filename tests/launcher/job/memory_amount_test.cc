// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/memory_amount.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/launcher/process.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

int64_t BytesOf(const std::string& text) {
  const auto amount = ParseMemoryAmount("kv-memory", text);
  EXPECT_THAT(amount, IsOk());
  return amount.ok() ? amount->bytes : -1;
}

TEST(MemoryAmountTest, ReadsBytesAndUnits) {
  EXPECT_EQ(BytesOf("123456"), 123456);
  EXPECT_EQ(BytesOf("3KiB"), 3072);
  EXPECT_EQ(BytesOf("512MiB"), int64_t{512} << 20);
  EXPECT_EQ(BytesOf("1GiB"), int64_t{1} << 30);
}

TEST(MemoryAmountTest, APartOfTheFreeMemoryIsSharedByTheRanks) {
  const auto amount = ParseMemoryAmount("kv-memory", "0.5");
  ASSERT_THAT(amount, IsOk());
  EXPECT_EQ(amount->PerRank(1000, 1), 500);
  EXPECT_EQ(amount->PerRank(1000, 4), 125);
}

TEST(MemoryAmountTest, ASizeIsWhatEveryRankGets) {
  EXPECT_EQ(ParseMemoryAmount("kv-memory", "100")->PerRank(1000, 4), 100);
}

TEST(MemoryAmountTest, RefusesWhatIsNoAmountAndNamesTheFlag) {
  for (const char* text : {"", "0", "1.0", "0.0", "-1", "1GB", "GiB", "0.5GiB", "9999999TiB"}) {
    EXPECT_THAT(ParseMemoryAmount("kv-memory", text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--kv-memory")))
        << text;
  }
}

TEST(FreeMemoryTest, IsTheLessOfTheMachinesAndTheControlGroups) {
  ScratchFolder folder;
  WriteText(folder.File("meminfo"), "MemTotal:  9000 kB\nMemAvailable:    4000 kB\n");
  const std::string group = folder.File(".");
  EXPECT_EQ(*FreeMemory(folder.File("meminfo"), group), 4000 << 10);
  WriteText(folder.File("memory.max"), "max\n");
  WriteText(folder.File("memory.current"), "1000000\n");
  EXPECT_EQ(*FreeMemory(folder.File("meminfo"), group), 4000 << 10);
  WriteText(folder.File("memory.max"), "3000000\n");
  EXPECT_EQ(*FreeMemory(folder.File("meminfo"), group), 2000000);
  EXPECT_THAT(FreeMemory(folder.File("none"), group),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("MemAvailable")));
}

}  // namespace
}  // namespace sdar
