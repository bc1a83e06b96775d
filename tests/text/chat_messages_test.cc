// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/chat_messages.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kRefusedMessage = absl::StatusCode::kInvalidArgument;
// Templates that print arguments of tool calls as they are, as JSON, and one by one.
constexpr char kPrints[] =
    "{% if c.arguments is string %}{{ c.arguments }}{% else %}{{ c.arguments | tojson }}{% endif "
    "%}";
constexpr char kDumps[] = "{{ tool_call.arguments | tojson }}";
constexpr char kWalks[] =
    "{{ 'Give a name and arguments' }}{% for name, value in tool_call.arguments|items %}{% endfor "
    "%}";

// The first message as a template of `source` would see it.
absl::StatusOr<Json> Read(const std::string& message, const char* source = "") {
  const Json messages = Json::array({Json::parse(message)});
  auto read = ReadMessages(messages, TemplateTraits(source));
  if (!read.ok()) return read.status();
  return (*read)[0];
}

std::string Calls(const std::string& arguments) {
  return R"({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": )" +
         arguments + "}}]}";
}

TEST(ChatMessagesTest, NullAndAbsentContentAreEmptyText) {
  for (const char* message :
       {R"({"role": "assistant", "content": null})", R"({"role": "assistant"})",
        R"({"role": "assistant", "content": []})"}) {
    SDAR_ASSERT_OK_AND_ASSIGN(const Json read, Read(message));
    EXPECT_EQ(read["content"], "") << message;
  }
}

TEST(ChatMessagesTest, DevelopersSpeakAsTheSystemUnlessTheTemplateKnowsThem) {
  const char* message = R"({"role": "developer", "content": "Be brief."})";
  SDAR_ASSERT_OK_AND_ASSIGN(Json read, Read(message, "{{ m['developer'] }}"));
  EXPECT_EQ(read["role"], "system");
  for (const char* source : {"{% if m.role == 'developer' %}", "{% if m.role==\"developer\" %}",
                             "{% if m.role in ['system', 'developer'] %}"}) {
    SDAR_ASSERT_OK_AND_ASSIGN(read, Read(message, source));
    EXPECT_EQ(read["role"], "developer") << source;
  }
}

TEST(ChatMessagesTest, ARoleThatTheTemplateDoesNotKnowIsNamed) {
  const char* message = R"({"role": "critic", "content": "No."})";
  EXPECT_THAT(Read(message), StatusIs(kRefusedMessage,
                                      AllOf(HasSubstr("messages[0].role"), HasSubstr("'critic'"))));
  EXPECT_THAT(Read(message, "{{ m['critic'] }}"), StatusIs(kRefusedMessage, HasSubstr("'critic'")));
  EXPECT_THAT(Read(message, "{% if m.role == 'critic' %}"), IsOk());
  for (const char* role : {"system", "user", "assistant", "tool"}) {
    EXPECT_THAT(Read(Json({{"role", role}}).dump()), IsOk()) << role;
  }
}

TEST(ChatMessagesTest, TextArgumentsAreReadWhereTheTemplateWantsAnObject) {
  for (const char* source : {kDumps, kWalks}) {
    SDAR_ASSERT_OK_AND_ASSIGN(const Json read, Read(Calls(R"("{\"b\": 1, \"a\": [2]}")"), source));
    EXPECT_EQ(read["tool_calls"][0]["function"]["arguments"].dump(), R"({"b":1,"a":[2]})");
  }
  SDAR_ASSERT_OK_AND_ASSIGN(const Json read, Read(Calls(R"("")"), kWalks));
  EXPECT_EQ(read["tool_calls"][0]["function"]["arguments"], Json::object());
}

TEST(ChatMessagesTest, TextArgumentsStayWhereTheTemplatePrintsThem) {
  for (const char* source : {kPrints, "{{ call['function']['arguments'] }}",
                             "{{ '```' + call['function']['arguments'] + '```' }}"}) {
    SDAR_ASSERT_OK_AND_ASSIGN(const Json read, Read(Calls(R"("{\"b\":  1}")"), source));
    EXPECT_EQ(read["tool_calls"][0]["function"]["arguments"], "{\"b\":  1}") << source;
  }
}

TEST(ChatMessagesTest, CallsWithoutAFunctionAreReadAlike) {
  SDAR_ASSERT_OK_AND_ASSIGN(
      const Json read,
      Read(R"({"role": "assistant", "tool_calls": [{"name": "f", "arguments": "{}"}]})", kWalks));
  EXPECT_EQ(read["tool_calls"][0]["arguments"], Json::object());
}

TEST(ChatMessagesTest, ArgumentsThatAreNoObjectAreNamed) {
  for (const char* arguments : {R"("[1]")", R"("{")", R"("text")"}) {
    EXPECT_THAT(
        Read(Calls(arguments), kWalks),
        StatusIs(kRefusedMessage, HasSubstr("messages[0].tool_calls[0].function.arguments")))
        << arguments;
  }
}

TEST(ChatMessagesTest, LargeArgumentsOfAllCallsTogetherAreRefused) {
  std::string list = "[1";
  for (size_t i = 0; i < kMaxJsonValues / 2; ++i) list += ",1";
  const Json call = {{"function", {{"name", "f"}, {"arguments", "{\"a\":" + list + "]}"}}}};
  const Json message = {{"role", "assistant"}, {"tool_calls", {call, call}}};
  EXPECT_THAT(ReadMessages(Json::array({message}), TemplateTraits(kWalks)),
              StatusIs(kRefusedMessage, HasSubstr("tool_calls[1]")));
}

}  // namespace
}  // namespace sdar
