// SPDX-License-Identifier: Apache-2.0
// What makes a job unhealthy, and who hears of it.
#include "runtime/server/health.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/steady_time.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const SteadyTime kNow = SteadyTime() + absl::Seconds(1000);

HealthView Healthy() {
  HealthView view;
  view.ranks.resize(3);  // rank 0 is never heard
  view.ranks[1].last_heard = view.ranks[2].last_heard = kNow - absl::Seconds(1);
  return view;
}

TEST(FindTroubleTest, AJobThatStepsAndBeatsIsHealthy) {
  EXPECT_EQ(FindTrouble(Healthy(), {}, kNow), "");
  HealthView busy = Healthy();
  busy.step_age = absl::Seconds(9);
  EXPECT_EQ(FindTrouble(busy, {}, kNow), "");
}

TEST(FindTroubleTest, NamesASilentRank) {
  HealthView view = Healthy();
  view.ranks[2].last_heard = kNow - absl::Seconds(2.5);
  EXPECT_THAT(FindTrouble(view, {}, kNow), HasSubstr("rank 2"));
}

TEST(FindTroubleTest, AStepThatTakesTooLongIsTrouble) {
  HealthView view = Healthy();
  view.step_age = absl::Seconds(11);
  EXPECT_THAT(FindTrouble(view, {}, kNow), HasSubstr("step"));
}

TEST(FindTroubleTest, WhatRefusesNewCallsIsTrouble) {
  HealthView view = Healthy();
  view.refusal = absl::UnavailableError("the server is stopping");
  EXPECT_EQ(FindTrouble(view, {}, kNow), "the server is stopping");
}

TEST(HealthWatchTest, TellsWhenTroubleComesAndWhenItHasPassed) {
  absl::Mutex mutex;
  int asked = 0;
  std::vector<std::string> heard;
  {
    HealthWatch watch(
        [&]() -> std::string {
          absl::MutexLock lock(&mutex);
          ++asked;
          return asked == 2 || asked == 3 ? "stuck" : "";
        },
        [&](const std::string& trouble) {
          absl::MutexLock lock(&mutex);
          heard.push_back(trouble);
        },
        absl::Milliseconds(1));
    absl::MutexLock lock(&mutex);
    const auto enough = [&] { return asked >= 6; };
    mutex.Await(absl::Condition(&enough));
  }
  EXPECT_THAT(heard, ElementsAre("stuck", ""));
}

}  // namespace
}  // namespace sdar
