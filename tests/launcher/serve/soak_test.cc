// SPDX-License-Identifier: Apache-2.0
// Clients of all sorts against a served job, for SOAK_SECONDS (60 without).
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/launcher/open_call.h"
#include "tests/launcher/process_usage.h"
#include "tests/launcher/serve/soak_client.h"
#include "tests/launcher/serve/soak_requests.h"
#include "tests/launcher/served_job.h"

namespace sdar {
namespace {

constexpr int kRanks = 2;
constexpr unsigned kClients = 10;
// From the second quarter of a soak to the last, on any rank. Measured on two cores: 0.8 MiB in a
// minute, 0.2 MiB in ten, of 45; the rest is for the allocator's arenas on machines with more
// cores, whose threads warm up later. Ten minutes are 9000 calls and 55,000 steps or more, half of
// them between the two medians: 1 KiB a call or 200 bytes a step that stayed would show.
constexpr double kAllowedGrowthMiB = 4;
// Files and threads of rank 0 in addition to those before the first client; measured: none, and 3.
// gRPC starts threads as it needs them, up to two a core, and keeps them; a connection or a call
// that stayed would be hundreds.
constexpr int kAllowedMore = 8;
constexpr double kSampleSeconds = 0.5;
constexpr double kReportSeconds = 10;

double SoakSeconds() {
  const char* seconds = std::getenv("SOAK_SECONDS");
  return seconds == nullptr || *seconds == '\0' ? 60 : std::max(4.0, std::atof(seconds));
}

std::vector<pid_t> PidsOf(const ServedJob& job) {
  std::vector<pid_t> pids;
  for (int rank = 0; rank < kRanks; ++rank) pids.push_back(PidOfRank(job, rank));
  return pids;
}

// What the ranks had in memory in the course of the soak, in MiB, by rank.
using MemoryLog = std::vector<std::vector<double>>;

void Report(double seconds, const SoakTally& tally, const MemoryLog& memory) {
  std::cout << static_cast<int>(seconds) << " s: " << tally.total() << " calls: " << tally.Text()
            << "; MiB per rank:";
  for (const std::vector<double>& rank : memory) std::cout << " " << rank.back();
  std::cout << std::endl;
}

// Until the time is over, or a call ended as it must not.
MemoryLog Soak(ServedJob& job, const std::vector<KnownAnswer>& known, SoakTally& tally) {
  const double seconds = SoakSeconds();
  const Stopwatch watch;
  std::atomic<bool> go_on{true};
  std::vector<std::thread> clients;
  for (unsigned i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] {
      SoakClient client(i, job.address(), known, tally);
      while (go_on && watch.Seconds() < seconds) {
        if (!client.CallOnce()) go_on = false;
      }
    });
  }
  const std::vector<pid_t> pids = PidsOf(job);
  MemoryLog memory(pids.size());
  double next_report = kReportSeconds;
  while (go_on && watch.Seconds() < seconds) {
    std::this_thread::sleep_for(std::chrono::duration<double>(kSampleSeconds));
    for (size_t i = 0; i < pids.size(); ++i) memory[i].push_back(ResidentMiB(pids[i]));
    if (watch.Seconds() < next_report) continue;
    Report(watch.Seconds(), tally, memory);
    next_report += kReportSeconds;
  }
  for (std::thread& client : clients) client.join();
  Report(watch.Seconds(), tally, memory);
  return memory;
}

void ExpectFlat(const MemoryLog& memory) {
  for (size_t rank = 0; rank < memory.size(); ++rank) {
    ASSERT_GE(memory[rank].size(), 4u);
    const double early = MedianOfQuarter(memory[rank], 1);
    const double late = MedianOfQuarter(memory[rank], 3);
    std::cout << "rank " << rank << ": " << early << " MiB, later " << late << " MiB" << std::endl;
    EXPECT_LT(late - early, kAllowedGrowthMiB) << "rank " << rank;
  }
}

void ExpectNothingHeld(ServedJob& job) {
  sdar::v1::GetStatusResponse status;
  EXPECT_TRUE(Eventually([&] {
    status = job.Status();
    return status.running() == 0 && status.waiting() == 0 &&
           status.free_slots() == status.total_slots() &&
           status.free_pages() == status.total_pages();
  })) << status.DebugString();
  EXPECT_GT(status.preemptions(), 0u);
  EXPECT_GT(status.prefix_cache_hit_tokens(), 0u);
  EXPECT_EQ(status.unhealthy(), "");
  std::cout << status.finished_steps() << " steps, " << status.preemptions() << " preemptions\n";
}

// What rank 0 has per connection and call.
struct Held {
  int files;
  int threads;
};
Held HeldBy(pid_t pid) { return {NumOpenFiles(pid), NumThreads(pid)}; }

TEST(SoakTest, LeavesNothingBehindAndTheAnswersTheSame) {
  // Pages for half of what the slots could use, and for no request of much more than 1280 tokens.
  ServedJob job(kRanks, {"--kv-memory=1280KiB", "--max-sequences=16", "--max-stream-backlog=16"});
  const std::vector<KnownAnswer> known = AskOneAtATime(job.stub());
  const pid_t rank0 = PidOfRank(job, 0);
  const Held before = HeldBy(rank0);
  SoakTally tally;
  const MemoryLog memory = Soak(job, known, tally);
  for (size_t k = 0; k < kNumCallKinds; ++k) {
    const auto kind = static_cast<CallKind>(k);
    EXPECT_GT(tally.Count(kind, RulesOf(kind).usual), 0) << RulesOf(kind).name;
  }
  ExpectNothingHeld(job);
  ExpectFlat(memory);
  EXPECT_TRUE(Eventually([&] { return NumOpenFiles(rank0) <= before.files + kAllowedMore; }))
      << before.files << " files, now " << NumOpenFiles(rank0);
  const int grpc_threads = 2 * static_cast<int>(std::thread::hardware_concurrency());
  EXPECT_TRUE(Eventually([&] {
    return NumThreads(rank0) <= before.threads + grpc_threads + kAllowedMore;
  })) << before.threads
      << " threads, now " << NumThreads(rank0);
  const std::vector<KnownAnswer> again = AskOneAtATime(job.stub());
  for (size_t i = 0; i < known.size(); ++i) EXPECT_EQ(again[i].answer, known[i].answer) << i;
  const Held after = HeldBy(rank0);
  std::cout << "rank 0: " << before.files << " files and " << before.threads << " threads, later "
            << after.files << " and " << after.threads << std::endl;
}

}  // namespace
}  // namespace sdar
