// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/chat_template.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
constexpr auto kInvalidChat = absl::StatusCode::kInvalidArgument;

absl::StatusOr<std::string> RenderMessages(const Json& messages) {
  auto chat_template =
      ChatTemplate::Parse("{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}");
  if (!chat_template.ok()) return chat_template.status();
  ChatRequest request;
  request.messages = messages;
  return chat_template->Render(request);
}

TEST(ChatTemplateTest, TextPartsAreJoinedByNewlines) {
  const Json parts = {{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", "b"}}};
  const Json message = {{"role", "user"}, {"content", parts}};
  SDAR_ASSERT_OK_AND_ASSIGN(const std::string prompt, RenderMessages(Json::array({message})));
  EXPECT_EQ(prompt, "user:a\nb;");
}

TEST(ChatTemplateTest, OtherPartsAreRefusedByName) {
  const Json part = {{"type", "image_url"}};
  const Json message = {{"role", "user"}, {"content", Json::array({part})}};
  EXPECT_THAT(RenderMessages(Json::array({message})),
              StatusIs(kInvalidChat, HasSubstr("image_url")));
}

TEST(ChatTemplateTest, MalformedMessagesAreRefusedByPosition) {
  EXPECT_THAT(RenderMessages("x"), StatusIs(kInvalidChat, HasSubstr("not a list")));
  EXPECT_THAT(RenderMessages(Json::array()), StatusIs(kInvalidChat, HasSubstr("empty")));
  EXPECT_THAT(RenderMessages({{{"role", "user"}}, {{"role", 1}}}),
              StatusIs(kInvalidChat, HasSubstr("messages[1]")));
  EXPECT_THAT(RenderMessages(Json::array({{{"role", "user"}, {"content", 5}}})),
              StatusIs(kInvalidChat, HasSubstr("messages[0].content")));
}

TEST(ChatTemplateTest, AbsentVariablesAreUndefined) {
  SDAR_ASSERT_OK_AND_ASSIGN(const ChatTemplate chat_template,
                            ChatTemplate::Parse("{{ enable_thinking is defined }}"));
  ChatRequest request;
  request.messages = Json::array({{{"role", "user"}}});
  EXPECT_EQ(*chat_template.Render(request), "False");
  request.variables["enable_thinking"] = false;
  EXPECT_EQ(*chat_template.Render(request), "True");
}

TEST(ChatTemplateTest, RequestsWithToolsUseTheToolTemplate) {
  SDAR_ASSERT_OK_AND_ASSIGN(
      const ChatTemplate chat_template,
      ChatTemplate::ParseNamed({{"default", "plain"}, {"tool_use", "tools"}}, Json::object()));
  ChatRequest request;
  request.messages = Json::array({{{"role", "user"}}});
  EXPECT_EQ(*chat_template.Render(request), "plain");
  request.tools = Json::array();
  EXPECT_EQ(*chat_template.Render(request), "tools");
}

TEST(ChatTemplateTest, ARequestMayNameATemplateOfTheModel) {
  SDAR_ASSERT_OK_AND_ASSIGN(
      const ChatTemplate chat_template,
      ChatTemplate::ParseNamed({{"default", "plain"}, {"rag", "rags"}}, Json::object()));
  ChatRequest request;
  request.messages = Json::array({{{"role", "user"}}});
  request.template_name = "rag";
  EXPECT_EQ(*chat_template.Render(request), "rags");
  request.template_name = "{{ 1 }}";
  EXPECT_THAT(chat_template.Render(request),
              StatusIs(kInvalidChat, AllOf(HasSubstr("chat_template"), HasSubstr("default, rag"))));
}

TEST(ChatTemplateTest, TemplatesWithoutADefaultMustBeNamed) {
  SDAR_ASSERT_OK_AND_ASSIGN(
      const ChatTemplate chat_template,
      ChatTemplate::ParseNamed({{"rag", "rags"}, {"tool_use", "tools"}}, Json::object()));
  ChatRequest request;
  request.messages = Json::array({{{"role", "user"}}});
  EXPECT_THAT(chat_template.Render(request), StatusIs(kInvalidChat, HasSubstr("rag, tool_use")));
  request.tools = Json::array();
  EXPECT_EQ(*chat_template.Render(request), "tools");
}

TEST(ChatTemplateTest, LargeIntegersKeepTheirDigits) {
  SDAR_ASSERT_OK_AND_ASSIGN(const ChatTemplate chat_template,
                            ChatTemplate::Parse("{% for m in messages %}{{ m.n }} {{ m | tojson }} "
                                                "{{ m.n is integer }}{% endfor %}"));
  ChatRequest request;
  SDAR_ASSERT_OK_AND_ASSIGN(
      request.messages,
      ParseJson(R"([{"role":"user","content":"","n":-123456789012345678901234567890}])", "m"));
  EXPECT_EQ(*chat_template.Render(request),
            "-123456789012345678901234567890 {\"role\": \"user\", \"content\": \"\", \"n\": "
            "-123456789012345678901234567890} True");
}

TEST(ChatTemplateTest, RaisedExceptionsKeepTheirMessage) {
  SDAR_ASSERT_OK_AND_ASSIGN(const ChatTemplate chat_template,
                            ChatTemplate::Parse("{{ raise_exception('No system turn!') }}"));
  ChatRequest request;
  request.messages = Json::array({{{"role", "user"}}});
  EXPECT_THAT(chat_template.Render(request), StatusIs(kInvalidChat, "No system turn!"));
}

// A folder with the files that a test writes, removed after it.
class ChatTemplateFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() / (std::string("sdar_") + test->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Write(const char* name, const std::string& content) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << content;
  }

  std::filesystem::path folder_;
};

TEST_F(ChatTemplateFolderTest, JinjaFileWinsOverConfig) {
  Write("tokenizer_config.json", R"({"chat_template": "config", "eos_token": "<e>"})");
  Write("chat_template.jinja", "file{{ eos_token }}");
  SDAR_ASSERT_OK_AND_ASSIGN(const ChatTemplate chat_template, LoadChatTemplate(folder_.string()));
  ChatRequest request;
  request.messages = Json::array({{{"role", "user"}}});
  EXPECT_EQ(*chat_template.Render(request), "file<e>");
}

TEST_F(ChatTemplateFolderTest, FurtherTemplatesMayBeFilesOfTheirOwn) {
  Write("tokenizer_config.json", R"({"chat_template": "config"})");
  Write("chat_template.jinja", "d");
  Write("additional_chat_templates/tool_use.jinja", "t");
  Write("additional_chat_templates/rag.jinja", "r");
  SDAR_ASSERT_OK_AND_ASSIGN(const ChatTemplate chat_template, LoadChatTemplate(folder_.string()));
  ChatRequest request;
  request.messages = Json::array({{{"role", "user"}}});
  EXPECT_EQ(*chat_template.Render(request), "d");
  request.tools = Json::array();
  EXPECT_EQ(*chat_template.Render(request), "t");
  request.template_name = "rag";
  EXPECT_EQ(*chat_template.Render(request), "r");
}

TEST_F(ChatTemplateFolderTest, ConfigMayListNamedTemplates) {
  Write(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]})");
  SDAR_ASSERT_OK_AND_ASSIGN(const ChatTemplate chat_template, LoadChatTemplate(folder_.string()));
  ChatRequest request;
  request.messages = Json::array({{{"role", "user"}}});
  EXPECT_EQ(*chat_template.Render(request), "d");
}

TEST_F(ChatTemplateFolderTest, MissingTemplateIsNotFoundAndNamesTheAlternatives) {
  EXPECT_THAT(LoadChatTemplate(folder_.string()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("prompt_ids")));
}

}  // namespace
}  // namespace sdar
