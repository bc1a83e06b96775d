// SPDX-License-Identifier: Apache-2.0
// The golden texts and conversations of tests/golden, through the tokenizer and the chat template.
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "common/json.h"
#include "runtime/text/chat_template.h"
#include "runtime/text/tokenizer.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

void ExpectGoldenTexts(const std::string& folder, const std::string& golden_path) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer, Tokenizer::Load(folder));
  SDAR_ASSERT_OK_AND_ASSIGN(const Json golden, ReadJsonFile(golden_path));
  ASSERT_FALSE(golden["texts"].empty());
  for (const Json& expected : golden["texts"]) {
    const auto text = expected["text"].get<std::string>();
    SDAR_ASSERT_OK_AND_ASSIGN(const std::vector<TokenId> ids, tokenizer.Encode(text));
    EXPECT_EQ(ids, expected["ids"].get<std::vector<TokenId>>()) << text;
    EXPECT_EQ(tokenizer.Decode(ids, false), expected["decoded"].get<std::string>());
    EXPECT_EQ(tokenizer.Decode(ids, true), expected["decoded_skip_special"].get<std::string>());
  }
}

void ExpectGoldenChats(const std::string& folder, const std::string& golden_path) {
  SDAR_ASSERT_OK_AND_ASSIGN(const ChatTemplate chat_template, LoadChatTemplate(folder));
  SDAR_ASSERT_OK_AND_ASSIGN(const Json golden, ReadJsonFile(golden_path));
  ASSERT_FALSE(golden["chats"].empty());
  for (const Json& expected : golden["chats"]) {
    const Json& given = expected["request"];
    ChatRequest request;
    request.messages = given["messages"];
    request.tools = given.value("tools", Json(nullptr));
    request.add_generation_prompt = given.value("add_generation_prompt", true);
    if (given.contains("enable_thinking")) {
      request.variables["enable_thinking"] = given["enable_thinking"];
    }
    SDAR_ASSERT_OK_AND_ASSIGN(const std::string prompt, chat_template.Render(request));
    EXPECT_EQ(prompt, expected["prompt"].get<std::string>());
  }
}

constexpr char kTinyFolder[] = SDAR_SOURCE_DIR "/models/sdar-tiny";
constexpr char kTinyGolden[] = SDAR_SOURCE_DIR "/tests/golden/text-tiny.json";
constexpr char kSdarGolden[] = SDAR_SOURCE_DIR "/tests/golden/text-sdar.json";

TEST(GoldenTextTest, TinyTokenizerGivesTheReferenceIdsAndTexts) {
  ExpectGoldenTexts(kTinyFolder, kTinyGolden);
}

TEST(GoldenTextTest, TinyChatTemplateGivesTheReferencePrompts) {
  ExpectGoldenChats(kTinyFolder, kTinyGolden);
}

// The files of the published SDAR tokenizer are not part of this project.
class PublishedTokenizerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("SDAR_TOKENIZER_DIR");
    if (folder == nullptr) {
      GTEST_SKIP() << "set SDAR_TOKENIZER_DIR to a folder with the SDAR tokenizer's files";
    }
    folder_ = folder;
  }
  std::string folder_;
};

TEST_F(PublishedTokenizerTest, TokenizerGivesTheReferenceIdsAndTexts) {
  ExpectGoldenTexts(folder_, kSdarGolden);
}

TEST_F(PublishedTokenizerTest, ChatTemplateGivesTheReferencePrompts) {
  ExpectGoldenChats(folder_, kSdarGolden);
}

TEST_F(PublishedTokenizerTest, MaskTokenIsTheOneOfTokenizerConfig) {
  SDAR_ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer, Tokenizer::Load(folder_));
  EXPECT_EQ(tokenizer.mask_token(), std::optional<TokenId>(151669));
  EXPECT_EQ(tokenizer.vocab_limit(), 151670);
  EXPECT_FALSE(tokenizer.FindToken("<MASK>").has_value());
}

}  // namespace
}  // namespace sdar
