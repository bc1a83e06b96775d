// SPDX-License-Identifier: Apache-2.0
// The sweep over all kernels runs, here on the CPU, and says what it is asked for.
#include "bench/kernels/kernel_sweep.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "bench/kernels/kernel_cases.h"

namespace sdar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

KernelOptions Tiny(const std::string& folder) {
  KernelOptions options;
  options.shape = std::string(SDAR_SOURCE_DIR) + "/tests/golden/" + folder + "/config.json";
  options.rows = "1,5";
  options.batch = "2";
  options.context = "9,130";
  options.block_length = "4";
  options.repeats = 2;
  options.batch_ms = 0.2;
  options.cold_megabytes = 1;
  options.bandwidth = 10;
  options.peak = 0.1;
  return options;
}

KernelResults Sweep(const KernelOptions& options) {
  KernelResults results;
  const absl::Status status = SweepKernels(
      options, [](const std::string&) {}, results);
  EXPECT_TRUE(status.ok()) << status;
  return results;
}

std::set<std::string> KernelsOf(const KernelResults& results) {
  std::set<std::string> names;
  for (const KernelTime& time : results.times) names.insert(time.kernel);
  return names;
}

TEST(KernelSweepTest, EveryKernelOfAModelGetsATimeAndAFloor) {
  std::set<std::string> seen;
  for (const char* folder : {"dense", "moe"}) {
    const KernelResults results = Sweep(Tiny(folder));
    for (const KernelTime& time : results.times) {
      SCOPED_TRACE(time.kernel + " " + time.variant);
      EXPECT_GT(time.times.median_s, 0);
      EXPECT_GE(time.times.median_s, time.times.min_s);
      EXPECT_GE(time.times.calls_at_once, 1);
      EXPECT_GT(time.floor_s, 0);
      EXPECT_TRUE(std::isfinite(time.part_of_floor()));
    }
    seen.merge(KernelsOf(results));
  }
  const std::vector<std::string> names = KernelNames();
  EXPECT_EQ(seen, std::set<std::string>(names.begin(), names.end()));
}

TEST(KernelSweepTest, ItsJsonHoldsEveryRow) {
  KernelOptions options = Tiny("moe");
  options.only = "Experts,BlockAttention";
  const KernelResults results = Sweep(options);
  EXPECT_THAT(KernelsOf(results), ElementsAre("BlockAttention", "Experts"));
  const auto json = ParseJson(KernelJson(options, results).dump(), "results");
  ASSERT_TRUE(json.ok()) << json.status();
  // Two contexts; three routings of two numbers of rows.
  ASSERT_EQ((*json)["kernels"].size(), 2 + 6);
  EXPECT_EQ((*json)["kernels"][0]["variant"], "2 x 4 rows, context 8");
  EXPECT_EQ((*json)["bytes_per_s"], 10e9);
  EXPECT_THAT(KernelMarkdown(options, results), HasSubstr("| Experts | hot | 5 |"));
}

TEST(KernelSweepTest, WhatWouldNeedTooMuchMemoryIsLeftOutByName) {
  KernelOptions options = Tiny("dense");
  options.only = "BlockAttention";
  options.max_megabytes = 1;  // of K/V
  options.context = "8,1000000";
  const KernelResults results = Sweep(options);
  EXPECT_EQ(results.times.size(), 1);
  EXPECT_THAT(results.left_out, ElementsAre("BlockAttention of 2 x 4 rows, context 1000000"));
}

TEST(KernelSweepTest, AWrongFlagIsNamed) {
  const auto fails = [](std::string KernelOptions::*flag, std::string value) {
    KernelOptions options = Tiny("dense");
    options.*flag = std::move(value);
    return std::string(MakeKernelSweep(options).status().message());
  };
  EXPECT_THAT(fails(&KernelOptions::device, "tpu"), HasSubstr("--device"));
  EXPECT_THAT(fails(&KernelOptions::only, "Experts,Softmax"), HasSubstr("Softmax"));
  EXPECT_THAT(fails(&KernelOptions::rows, "0"), HasSubstr("--rows"));
  EXPECT_THAT(fails(&KernelOptions::dtype, "float16"), HasSubstr("--dtype"));
}

TEST(MakeRoutingTest, RowsChooseDistinctExperts) {
  std::mt19937 random(7);
  for (RoutingKind kind : {RoutingKind::kUniform, RoutingKind::kSkewed, RoutingKind::kHot}) {
    const std::vector<int32_t> ids = MakeRouting(kind, 50, 4, 16, 3, random);
    ASSERT_EQ(ids.size(), 200);
    for (size_t row = 0; row < 50; ++row) {
      const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(4 * row);
      const std::set<int32_t> of_row(begin, begin + 4);
      EXPECT_EQ(of_row.size(), 4);
      EXPECT_GE(*of_row.begin(), 0);
      EXPECT_LT(*of_row.rbegin(), 16);
    }
  }
}

TEST(MakeRoutingTest, SkewedRowsPreferAFewAndHotRowsAgree) {
  std::mt19937 random(7);
  const std::vector<int32_t> skewed = MakeRouting(RoutingKind::kSkewed, 4000, 1, 16, 3, random);
  // Expert 3 is this turn's likeliest: 1 / (1 + 1/2 + ... + 1/16) = 0.296 of all.
  EXPECT_NEAR(static_cast<double>(std::count(skewed.begin(), skewed.end(), 3)), 4000 * 0.296, 120);
  const std::vector<int32_t> hot = MakeRouting(RoutingKind::kHot, 50, 4, 16, 3, random);
  EXPECT_EQ(std::set<int32_t>(hot.begin(), hot.end()), (std::set<int32_t>{12, 13, 14, 15}));
}

}  // namespace
}  // namespace sdar
