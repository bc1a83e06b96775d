// SPDX-License-Identifier: Apache-2.0
#include "launcher/tokenize/tokenize_line.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class LineTokenizerTest : public ::testing::Test {
 protected:
  absl::StatusOr<Json> Answer(absl::string_view line) {
    static const LineTokenizer* const tokenizer =
        new LineTokenizer(*LineTokenizer::Load(SDAR_SOURCE_DIR "/models/sdar-tiny"));
    return tokenizer->Answer(line, request_);
  }

  Json request_;
};

TEST_F(LineTokenizerTest, TextGivesIdsAndBothDecodedTexts) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Json result, Answer(R"({"id": 7, "text": "a<|im_end|>"})"));
  EXPECT_EQ(DumpJson(result),
            R"({"id":7,"ids":[64,958],"decoded":"a<|im_end|>","decoded_skip_special":"a"})");
}

TEST_F(LineTokenizerTest, IdsGiveBothDecodedTexts) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Json result, Answer(R"({"ids": [64, 958]})"));
  EXPECT_EQ(DumpJson(result), R"({"decoded":"a<|im_end|>","decoded_skip_special":"a"})");
}

TEST_F(LineTokenizerTest, MessagesGivePromptAndIds) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Json result,
                            Answer(R"({"messages": [{"role": "user", "content": "a"}],
                                       "add_generation_prompt": false})"));
  EXPECT_EQ(result["prompt"], "<|im_start|>user\na<|im_end|>\n");
  EXPECT_FALSE(result["ids"].empty());
}

TEST_F(LineTokenizerTest, UnknownKeysAreNamed) {
  EXPECT_THAT(Answer(R"({"text": "a", "txet": "b"})"), StatusIs(kInvalid, HasSubstr("'txet'")));
}

TEST_F(LineTokenizerTest, BadLineKeepsItsId) {
  EXPECT_THAT(Answer(R"({"id": 3, "text": 1})"), StatusIs(kInvalid, HasSubstr("text")));
  EXPECT_EQ(request_["id"], 3);
}

TEST_F(LineTokenizerTest, IdWithoutATokenIsRefused) {
  EXPECT_THAT(Answer(R"({"ids": [64, 966]})"), StatusIs(kInvalid, HasSubstr("ids[1] is 966")));
  EXPECT_THAT(Answer(R"({"ids": [-1]})"), StatusIs(kInvalid, HasSubstr("ids[0] is -1")));
}

}  // namespace
}  // namespace sdar
