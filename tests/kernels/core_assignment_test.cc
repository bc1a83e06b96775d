// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/core_assignment.h"

#include <limits>
#include <set>
#include <utility>

#include "gtest/gtest.h"

namespace sdar {
namespace {

struct ShareCase {
  AllowedCores allowed;
  int sharers;
  int index;
  int wanted;
  CoreShare share;
};

AllowedCores Cores(std::vector<int> cpus, double limit = std::numeric_limits<double>::infinity()) {
  AllowedCores allowed;
  allowed.cpus = std::move(cpus);
  allowed.limit = limit;
  return allowed;
}

TEST(CoreAssignmentTest, SharesFollowTheTable) {
  const ShareCase cases[] = {
      {Cores({0}), 1, 0, 0, {1, {0}, true}},
      {Cores({0, 2, 4, 6}), 1, 0, 0, {4, {0, 2, 4, 6}, true}},
      {Cores({0, 2, 4, 6}), 2, 1, 0, {2, {4, 6}, true}},
      {Cores({0, 1, 2}), 2, 0, 0, {1, {0}, true}},
      {Cores({0, 1, 2}), 2, 1, 0, {2, {1, 2}, true}},
      {Cores({0, 1}), 4, 3, 0, {1, {}, false}},
      {Cores({0, 1, 2, 3}), 1, 0, 2, {2, {0, 1}, true}},
      {Cores({0, 1, 2, 3}), 2, 1, 1, {1, {2}, true}},
      {Cores({0, 1}), 1, 0, 3, {3, {}, false}},
      {Cores({0, 1}), 4, 0, 2, {2, {}, false}},
      {Cores({}), 1, 0, 0, {1, {}, false}},
      // With a limit.
      {Cores({0, 1, 2, 3}, 1), 1, 0, 0, {1, {}, false}},
      {Cores({0, 1, 2, 3}, 0.1), 1, 0, 0, {1, {}, false}},
      {Cores({0, 1, 2, 3}, 2.5), 1, 0, 0, {3, {}, false}},
      {Cores({0, 1, 2, 3}, 3), 2, 0, 0, {1, {}, false}},
      {Cores({0, 1, 2, 3}, 3), 2, 1, 0, {2, {}, false}},
      {Cores({0, 1, 2, 3}, 1), 4, 2, 0, {1, {}, false}},
      {Cores({0, 1, 2, 3}, 2), 1, 0, 4, {4, {}, false}},
      {Cores({0, 1, 2, 3}, 1), 1, 0, 1, {1, {}, false}},
      {Cores({0, 1}, 2), 1, 0, 0, {2, {0, 1}, true}},
      {Cores({0, 1}, 64), 2, 1, 0, {1, {1}, true}},
  };
  for (const ShareCase& c : cases) {
    const CoreShare got = ShareCores(c.allowed, c.sharers, c.index, c.wanted);
    SCOPED_TRACE(testing::Message()
                 << c.allowed.cpus.size() << " cores, limit " << c.allowed.limit << ", sharer "
                 << c.index << " of " << c.sharers << ", wants " << c.wanted);
    EXPECT_EQ(got.num_threads, c.share.num_threads);
    EXPECT_EQ(got.cpus, c.share.cpus);
    EXPECT_EQ(got.spin, c.share.spin);
  }
}

TEST(CoreAssignmentTest, SharersNeverShareACoreAndLeaveNone) {
  for (int cores = 1; cores <= 12; ++cores) {
    std::vector<int> cpus;
    for (int i = 0; i < cores; ++i) cpus.push_back(2 * i);
    for (int sharers = 1; sharers <= cores; ++sharers) {
      std::multiset<int> taken;
      for (int i = 0; i < sharers; ++i) {
        const CoreShare share = ShareCores(Cores(cpus), sharers, i, 0);
        EXPECT_EQ(share.num_threads, static_cast<int>(share.cpus.size()));
        EXPECT_GE(share.num_threads, 1);
        taken.insert(share.cpus.begin(), share.cpus.end());
      }
      EXPECT_EQ(taken, std::multiset<int>(cpus.begin(), cpus.end()));
    }
  }
}

TEST(CoreAssignmentTest, ThisProcessHasACore) {
  const AllowedCores allowed = FindAllowedCores();
  EXPECT_FALSE(allowed.cpus.empty());
  EXPECT_FALSE(allowed.mask.empty());
}

}  // namespace
}  // namespace sdar
