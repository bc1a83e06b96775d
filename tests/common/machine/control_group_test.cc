// SPDX-License-Identifier: Apache-2.0
#include "common/machine/control_group.h"

#include <optional>

#include "gtest/gtest.h"

#include "tests/common/machine/fake_machine.h"

namespace sdar {
namespace {

constexpr char kVersion1[] =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
constexpr char kGroups1[] = "5:memory:/pods/a\n4:cpu,cpuacct:/pods/a\n1:name=systemd:/\n0::/\n";

void Version2(FakeMachine& machine) {
  machine.Write("/proc/self/mountinfo", FakeMachine::kUnified)
      .Write("/proc/self/cgroup", "0::/pods/a\n");
}

void Version1(FakeMachine& machine) {
  machine.Write("/proc/self/mountinfo", kVersion1).Write("/proc/self/cgroup", kGroups1);
}

TEST(ControlGroupTest, WithoutGroupsNothingIsLimited) {
  const FakeMachine machine;
  const ControlGroup group = machine.Read();
  EXPECT_EQ(group.CpuLimit(), std::nullopt);
  EXPECT_EQ(group.MemoryLimit(), std::nullopt);
  EXPECT_EQ(group.FreeMemory(), std::nullopt);
  EXPECT_EQ(group.PeakMemory(), std::nullopt);
  EXPECT_EQ(group.OomKills(), 0);
}

TEST(ControlGroupTest, ReadsVersion2) {
  FakeMachine machine;
  Version2(machine);
  const std::string folder = "/sys/fs/cgroup/pods/a";
  machine.Write(folder + "/cpu.max", "150000 100000\n")
      .Write(folder + "/memory.max", "4000\n")
      .Write(folder + "/memory.current", "3500\n")
      .Write(folder + "/memory.peak", "3900\n")
      .Write(folder + "/memory.stat", "anon 1000\ninactive_file 2000\nactive_file 300\n")
      .Write(folder + "/memory.events", "low 0\nmax 7\noom 2\noom_kill 3\n");
  const ControlGroup group = machine.Read();
  EXPECT_EQ(group.CpuLimit(), 1.5);
  EXPECT_EQ(group.MemoryLimit(), 4000);
  EXPECT_EQ(group.FreeMemory(), 2800);
  EXPECT_EQ(group.PeakMemory(), 3900);
  EXPECT_EQ(group.OomKills(), 3);
}

TEST(ControlGroupTest, ReadsVersion1) {
  FakeMachine machine;
  Version1(machine);
  const std::string cpu = "/sys/fs/cgroup/cpu,cpuacct/pods/a";
  const std::string memory = "/sys/fs/cgroup/memory/pods/a";
  machine.Write(cpu + "/cpu.cfs_quota_us", "50000\n")
      .Write(cpu + "/cpu.cfs_period_us", "100000\n")
      .Write(memory + "/memory.limit_in_bytes", "4000\n")
      .Write(memory + "/memory.usage_in_bytes", "3500\n")
      .Write(memory + "/memory.max_usage_in_bytes", "3950\n")
      .Write(memory + "/memory.stat",
             "inactive_file 1\ntotal_inactive_file 100\ntotal_active_file 20\n")
      .Write(memory + "/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
  const ControlGroup group = machine.Read();
  EXPECT_EQ(group.CpuLimit(), 0.5);
  EXPECT_EQ(group.MemoryLimit(), 4000);
  EXPECT_EQ(group.FreeMemory(), 620);
  EXPECT_EQ(group.PeakMemory(), 3950);
  EXPECT_EQ(group.OomKills(), 1);
}

TEST(ControlGroupTest, NoLimitIsWrittenInSeveralWays) {
  FakeMachine two;
  Version2(two);
  two.Write("/sys/fs/cgroup/pods/a/cpu.max", "max 100000\n")
      .Write("/sys/fs/cgroup/pods/a/memory.max", "max\n")
      .Write("/sys/fs/cgroup/pods/a/memory.current", "5\n");
  EXPECT_EQ(two.Read().CpuLimit(), std::nullopt);
  EXPECT_EQ(two.Read().MemoryLimit(), std::nullopt);
  EXPECT_EQ(two.Read().FreeMemory(), std::nullopt);
  FakeMachine one;
  Version1(one);
  one.Write("/sys/fs/cgroup/cpu,cpuacct/pods/a/cpu.cfs_quota_us", "-1\n")
      .Write("/sys/fs/cgroup/cpu,cpuacct/pods/a/cpu.cfs_period_us", "100000\n")
      .Write("/sys/fs/cgroup/memory/pods/a/memory.limit_in_bytes", "9223372036854771712\n")
      .Write("/sys/fs/cgroup/memory/pods/a/memory.usage_in_bytes", "5\n");
  EXPECT_EQ(one.Read().CpuLimit(), std::nullopt);
  EXPECT_EQ(one.Read().FreeMemory(), std::nullopt);
}

TEST(ControlGroupTest, TheTightestLevelCounts) {
  FakeMachine machine;
  Version2(machine);
  machine.Write("/sys/fs/cgroup/pods/a/cpu.max", "400000 100000\n")
      .Write("/sys/fs/cgroup/pods/cpu.max", "200000 100000\n")
      .Write("/sys/fs/cgroup/cpu.max", "300000 100000\n")
      .Write("/sys/fs/cgroup/pods/a/memory.max", "5000\n")
      .Write("/sys/fs/cgroup/pods/a/memory.current", "1000\n")
      .Write("/sys/fs/cgroup/pods/memory.max", "9000\n")
      .Write("/sys/fs/cgroup/pods/memory.current", "8000\n");
  EXPECT_EQ(machine.Read().CpuLimit(), 2.0);
  EXPECT_EQ(machine.Read().MemoryLimit(), 5000);
  EXPECT_EQ(machine.Read().FreeMemory(), 1000);
}

// Of a container with a namespace of its own, and of one without, which sees the outer path.
TEST(ControlGroupTest, AContainersOwnGroupIsTheMountPoint) {
  for (const char* cgroup : {"0::/\n", "0::/kubepods/pod1\n", "0::/../../elsewhere\n"}) {
    FakeMachine machine;
    machine
        .Write("/proc/self/mountinfo",
               "29 23 0:26 /kubepods/pod1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n")
        .Write("/proc/self/cgroup", cgroup)
        .Write("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    EXPECT_EQ(machine.Read().CpuLimit(), 1.0) << cgroup;
  }
}

TEST(ControlGroupTest, WhatMakesNoSenseLimitsNothing) {
  for (const char* text : {"", "\n", "x y\n", "-5 100000\n", "5 0\n", "100000\n"}) {
    FakeMachine machine;
    Version2(machine);
    machine.Write("/sys/fs/cgroup/pods/a/cpu.max", text)
        .Write("/sys/fs/cgroup/pods/a/memory.max", "-3\n");
    EXPECT_EQ(machine.Read().CpuLimit(), std::nullopt) << text;
    EXPECT_EQ(machine.Read().MemoryLimit(), std::nullopt);
  }
  FakeMachine torn;
  torn.Write("/proc/self/mountinfo", "29 23 -\n- - - -\n\n29 23 0:26 / /sys\n")
      .Write("/proc/self/cgroup", "0\n0:\n::\n");
  EXPECT_EQ(torn.Read().CpuLimit(), std::nullopt);
}

}  // namespace
}  // namespace sdar
