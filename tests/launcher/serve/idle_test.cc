// SPDX-License-Identifier: Apache-2.0
// A job that has nothing to do leaves the cores to others.
#include <sstream>
#include <thread>

#include "gtest/gtest.h"
#include <unistd.h>

#include "tests/launcher/open_call.h"
#include "tests/launcher/served_job.h"

namespace sdar {
namespace {

constexpr double kMeasuredSeconds = 4;
constexpr double kAllowedPartOfACore = 0.02;

// User and system time of a process and all its threads so far.
double CpuSeconds(pid_t pid) {
  const std::string stat = ReadText("/proc/" + std::to_string(pid) + "/stat");
  // The second field is the program's name in brackets, and may hold spaces.
  std::istringstream fields(stat.substr(stat.rfind(')') + 2));
  std::string field;
  double ticks = 0;
  for (int number = 3; fields >> field; ++number) {
    if (number == 14 || number == 15) ticks += std::stod(field);
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

TEST(IdleTest, AnIdleRankUsesLessThanTwoPercentOfACore) {
  ServedJob job(2);
  ASSERT_TRUE(job.Generate(Ask("Hello!")).status.ok());
  std::vector<FoundProcess> ranks;
  for (const FoundProcess& process : FindProcesses(job.tag())) {
    if (process.rank >= 0) ranks.push_back(process);
  }
  ASSERT_EQ(ranks.size(), 2u);
  std::vector<double> before;
  const Stopwatch watch;
  for (const FoundProcess& rank : ranks) before.push_back(CpuSeconds(rank.pid));
  std::this_thread::sleep_for(std::chrono::duration<double>(kMeasuredSeconds));
  for (size_t i = 0; i < ranks.size(); ++i) {
    const double part = (CpuSeconds(ranks[i].pid) - before[i]) / watch.Seconds();
    EXPECT_LT(part, kAllowedPartOfACore) << "rank " << ranks[i].rank;
    std::cout << "rank " << ranks[i].rank << ": " << 100 * part << " % of a core\n";
  }
}

}  // namespace
}  // namespace sdar
