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

TEST(RequestJsonTest, TheDefaultsAreWhatARequestWithoutFieldsIsDecodedWith) {
  RequestDefaults defaults;
  defaults.block_length = 8;
  defaults.generation.do_sample = true;
  defaults.generation.temperature = 0.5;
  defaults.generation.top_k = 20;
  const Json fields = DefaultFieldsJson(defaults);
  const auto requests = BuildRequests({}, {1, 2}, defaults, {1024, 2048, 64, 100, 512});
  ASSERT_THAT(requests, IsOk());
  const GenerationRequest& request = requests->front();
  EXPECT_EQ(fields["temperature"], request.sampling.temperature);
  EXPECT_EQ(fields["top_k"], request.sampling.top_k);
  EXPECT_EQ(fields["top_p"], request.sampling.top_p);
  EXPECT_EQ(fields["block_length"], request.remasking.block_length);
  EXPECT_EQ(fields["denoising_steps"], request.remasking.denoising_steps);
  EXPECT_EQ(fields["remasking_strategy"], std::string(Name(request.remasking.strategy)));
}

}  // namespace
}  // namespace sdar
