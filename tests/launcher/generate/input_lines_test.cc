// SPDX-License-Identifier: Apache-2.0
#include "launcher/generate/input_lines.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<std::vector<InputLine>> Read(const std::string& text) {
  std::istringstream in(text);
  return ReadInputLines(in);
}

TEST(InputLinesTest, ALineIsNamedByItsIdOrItsNumber) {
  const auto lines = Read("{\"id\": \"a\"}\n\n{\"id\": null}\nno json\n{\"id\": {\"x\": 1}}\n{}");
  ASSERT_TRUE(lines.ok()) << lines.status();
  std::vector<std::string> ids;
  for (const InputLine& line : *lines) ids.push_back(line.id);
  EXPECT_THAT(ids, ::testing::ElementsAre("\"a\"", "3", "4", "{\"x\":1}", "6"));
}

TEST(InputLinesTest, SamplesAreCountedWhereTheyAreANumber) {
  const auto lines = Read("{\"n\": 16}\n{}\n{\"n\": \"two\"}\n{\"n\": null}\n{\"n\": -3}\n[1]\n");
  ASSERT_TRUE(lines.ok()) << lines.status();
  std::vector<int64_t> samples;
  for (const InputLine& line : *lines) samples.push_back(line.num_samples);
  EXPECT_THAT(samples, ::testing::ElementsAre(16, 1, 1, 1, 1, 1));
}

TEST(InputLinesTest, OneIdOfTwoLinesIsRefusedAndNamesBoth) {
  for (const char* text : {"{\"id\": \"a\"}\n{}\n{\"id\": \"a\"}\n", "{\"id\": 3}\n\n{}\n",
                           "{}\n\n{\"id\": 1}\n", "not json\n\n{\"id\": 1}\n"}) {
    const absl::Status status = Read(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("lines 1 and 3")) << text;
  }
}

TEST(InputLinesTest, IdsThatOnlyLookAlikeAreTwo) {
  EXPECT_TRUE(Read("{\"id\": \"2\"}\n{}\n{\"id\": 2.0}\n{\"id\": [2]}\n").ok());
}

}  // namespace
}  // namespace sdar
