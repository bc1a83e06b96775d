// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/mask_table.h"

#include <set>

#include "gtest/gtest.h"

namespace sdar {
namespace {

grammar::TokenMask Mask(uint64_t id) {
  grammar::TokenMask mask;
  mask.id = id;
  mask.bits = {0, id << 8 | 1, 0};
  return mask;
}

TEST(MaskTableTest, AMaskIsSentOnceWithoutTheZerosAtItsEnd) {
  MaskTable table;
  sdar::v1::StepPlan plan;
  table.BeginPlan();
  const uint32_t index = table.IndexOf(Mask(5), plan);
  EXPECT_EQ(table.IndexOf(Mask(5), plan), index);
  ASSERT_EQ(plan.masks_size(), 1);
  EXPECT_EQ(plan.masks(0).index(), index);
  EXPECT_EQ(plan.masks(0).bits(), std::string(8, '\0') + "\x01\x05");
}

TEST(MaskTableTest, TheLeastRecentlyUsedGivesItsPlaceUp) {
  MaskTable table;
  std::vector<uint32_t> places;
  for (uint64_t id = 0; id < MaskTable::kPlaces; ++id) {
    sdar::v1::StepPlan plan;
    table.BeginPlan();
    places.push_back(table.IndexOf(Mask(id), plan));
  }
  sdar::v1::StepPlan plan;
  table.BeginPlan();
  EXPECT_EQ(table.IndexOf(Mask(0), plan), places[0]);
  EXPECT_EQ(plan.masks_size(), 0);
  EXPECT_EQ(table.IndexOf(Mask(1000), plan), places[1]);
  EXPECT_EQ(plan.masks_size(), 1);
}

TEST(MaskTableTest, NoMaskOfAPlanTakesAnothersPlace) {
  MaskTable table;
  sdar::v1::StepPlan plan;
  table.BeginPlan();
  std::set<uint32_t> places;
  for (uint64_t id = 0; id < 2 * MaskTable::kPlaces; ++id) {
    places.insert(table.IndexOf(Mask(id), plan));
  }
  EXPECT_EQ(places.size(), 2 * MaskTable::kPlaces);
}

}  // namespace
}  // namespace sdar
