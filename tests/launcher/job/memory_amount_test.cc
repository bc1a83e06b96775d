// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/memory_amount.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/common/machine/fake_machine.h"
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
  FakeMachine machine;
  const std::string meminfo = machine.root() + "/proc/meminfo";
  EXPECT_THAT(FreeMemory(machine.Read(), meminfo),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("MemAvailable")));
  machine.Write("/proc/meminfo", "MemTotal:  9000 kB\nMemAvailable:    4000 kB\n");
  EXPECT_EQ(*FreeMemory(machine.Read(), meminfo), 4000 << 10);
  machine.Write("/proc/self/mountinfo", FakeMachine::kUnified)
      .Write("/proc/self/cgroup", "0::/\n")
      .Write("/sys/fs/cgroup/memory.current", "1000000\n")
      .Write("/sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(*FreeMemory(machine.Read(), meminfo), 4000 << 10);
  machine.Write("/sys/fs/cgroup/memory.max", "3000000\n");
  EXPECT_EQ(*FreeMemory(machine.Read(), meminfo), 2000000);
  machine.Write("/sys/fs/cgroup/memory.max", "9000000\n");
  EXPECT_EQ(*FreeMemory(machine.Read(), meminfo), 4000 << 10);
}

}  // namespace
}  // namespace sdar
