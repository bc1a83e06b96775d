// SPDX-License-Identifier: Apache-2.0
#include "runtime/request/request_json.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

TEST(RequestJsonTest, JetEnginesNamesReadTheSameFields) {
  RequestFields fields;
  const auto readers = RequestFieldReaders(fields);
  EXPECT_THAT(readers.at("topk")(7), IsOk());
  EXPECT_THAT(readers.at("topp")(0.5), IsOk());
  EXPECT_THAT(readers.at("dynamic_threshold")(0.75), IsOk());
  EXPECT_THAT(readers.at("eb_threshold")(0.25), IsOk());
  EXPECT_EQ(fields.top_k, 7);
  EXPECT_EQ(fields.top_p, 0.5);
  EXPECT_EQ(fields.confidence_threshold, 0.75);
  EXPECT_EQ(fields.entropy_bound, 0.25);
}

TEST(RequestJsonTest, AFieldByTwoNamesIsRefused) {
  for (const auto& [first, second] : {std::pair("topk", "top_k"), std::pair("top_k", "topk")}) {
    RequestFields fields;
    const auto readers = RequestFieldReaders(fields);
    EXPECT_THAT(readers.at(first)(7), IsOk());
    EXPECT_THAT(readers.at(second)(7),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("two names")));
  }
}

}  // namespace
}  // namespace sdar
