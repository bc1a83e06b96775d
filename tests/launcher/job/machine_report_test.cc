// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/machine_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/common/machine/fake_machine.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

AllowedCores FourCores() {
  AllowedCores allowed;
  allowed.cpus = {0, 1, 2, 3};
  return allowed;
}

TEST(MachineReportTest, CoresAreReportedWithWhatTheControlGroupTakes) {
  AllowedCores allowed = FourCores();
  EXPECT_EQ(DescribeCores(allowed, ShareCores(allowed, 2, 0, 0)),
            "4 core(s): 2 thread(s) a rank, pinned");
  allowed.limit = 1.5;
  EXPECT_EQ(
      DescribeCores(allowed, ShareCores(allowed, 1, 0, 0)),
      "4 core(s), of which a control group allows 1.5: 2 thread(s) a rank, neither pinned nor "
      "spinning");
}

TEST(MachineReportTest, MemoryIsReportedWithTheControlGroupsLimit) {
  FakeMachine machine;
  EXPECT_THAT(DescribeMemory(machine.Read()),
              AllOf(HasSubstr("iB are free"), Not(HasSubstr("of "))));
  machine.Write("/proc/self/mountinfo", FakeMachine::kUnified)
      .Write("/proc/self/cgroup", "0::/\n")
      .Write("/sys/fs/cgroup/memory.current", "0\n")
      .Write("/sys/fs/cgroup/memory.max", "107374182\n");
  EXPECT_EQ(DescribeMemory(machine.Read()),
            "memory: 102 MiB are free, of 102 MiB that a control group allows");
}

TEST(MachineReportTest, MoreThreadsThanTheControlGroupHasTimeForAreWarnedOf) {
  AllowedCores allowed = FourCores();
  const FakeMachine machine;
  allowed.limit = 1.5;
  EXPECT_THAT(FindMachineWarnings(allowed, 3, "", machine.root()),
              Contains(HasSubstr("--threads=3: the control group allows the time of 1.5 core(s)")));
  EXPECT_THAT(FindMachineWarnings(allowed, 2, "", machine.root()), IsEmpty());
  EXPECT_THAT(FindMachineWarnings(FourCores(), 64, "", machine.root()), IsEmpty());
}

TEST(MachineReportTest, ADriverWithoutAUseIsWarnedOf) {
  FakeMachine machine;
  EXPECT_THAT(FindMachineWarnings(FourCores(), 0, "no module", machine.root()), IsEmpty());
  machine.Write("/proc/driver/nvidia/version", "NVRM version: 570\n");
  EXPECT_THAT(FindMachineWarnings(FourCores(), 0, "no module", machine.root()),
              Contains(EndsWith("but the CPU computes: no module")));
  EXPECT_THAT(FindMachineWarnings(FourCores(), 0, "", machine.root()), IsEmpty());
}

}  // namespace
}  // namespace sdar
