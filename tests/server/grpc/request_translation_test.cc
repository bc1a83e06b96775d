// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/grpc/request_translation.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/steady_time.h"
#include "tests/member_count.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

const TextCodec& Tiny() {
  static const TextCodec codec =
      *TextCodec::Load(std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny");
  return codec;
}

constexpr RequestLimits kLimits = {1024, 2048, 64, 100, 512};

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Sets the field to something that is not its default.
void SetField(Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  if (field.is_map()) {
    reflection.AddMessage(&message, &field);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    sdar::v1::Structure structure;
    structure.set_json_object(true);
    reflection.MutableMessage(&message, &field)->CopyFrom(structure);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    reflection.AddString(&message, &field, "x");
  } else if (field.is_repeated()) {
    reflection.AddUInt32(&message, &field, 1);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT) {
    reflection.SetFloat(&message, &field, 1);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    reflection.SetEnumValue(&message, &field, 1);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
    reflection.SetBool(&message, &field, true);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
    reflection.SetInt32(&message, &field, 1);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64) {
    reflection.SetUInt64(&message, &field, 1);
  } else {
    reflection.SetUInt32(&message, &field, 1);
  }
}

template <typename T>
bool IsSet(const std::optional<T>& member) {
  return member.has_value();
}
template <typename T>
bool IsSet(const std::vector<T>& member) {
  return !member.empty();
}

std::set<std::string> FieldsThatAreSet(const sdar::v1::GenerateRequest& request) {
  auto fields = TranslateFields(request);
  EXPECT_THAT(fields, IsOk());
  std::set<std::string> names;
  VisitFields(*fields, [&names](const char* name, const auto& member) {
    if (IsSet(member)) names.insert(name);
  });
  return names;
}

TEST(RequestTranslationTest, EveryFieldOfTheMessageSetsTheMemberOfItsNameAndNoOther) {
  // What other functions read.
  const std::set<std::string> elsewhere = {"provisional", "timeout_seconds"};
  const auto parts = sdar::v1::GenerateRequest::descriptor();
  size_t read = 0;
  for (const char* part : {"sampling", "stopping", "output", "scheduling"}) {
    const FieldDescriptor& group = *parts->FindFieldByName(part);
    for (int i = 0; i < group.message_type()->field_count(); ++i) {
      const FieldDescriptor& field = *group.message_type()->field(i);
      if (elsewhere.count(field.name()) != 0) continue;
      sdar::v1::GenerateRequest request;
      SetField(*request.GetReflection()->MutableMessage(&request, &group), field);
      EXPECT_THAT(FieldsThatAreSet(request), ::testing::ElementsAre(field.name()));
      ++read;
    }
  }
  EXPECT_EQ(read, MemberCount<RequestFields>());
}

TEST(RequestTranslationTest, StructuresOfEveryKindAreRead) {
  using Kind = grammar::StructureSpec::Kind;
  const auto read = [](const sdar::v1::Structure& structure) {
    sdar::v1::GenerateRequest request;
    *request.mutable_output()->mutable_structure() = structure;
    return TranslateFields(request);
  };
  sdar::v1::Structure structure;
  structure.set_json_schema("{}");
  structure.set_after_thinking(true);
  EXPECT_EQ(read(structure)->structure->kind, Kind::kJsonSchema);
  EXPECT_EQ(read(structure)->structure->text, "{}");
  EXPECT_TRUE(read(structure)->structure->after_thinking);
  structure.set_regex("a+");
  EXPECT_EQ(read(structure)->structure->kind, Kind::kRegex);
  structure.mutable_choice()->add_texts("x");
  EXPECT_EQ(read(structure)->structure->choices.size(), 1u);
  auto& tools = *structure.mutable_tools();
  tools.add_tools()->set_name("f");
  tools.set_may_answer(true);
  EXPECT_EQ(read(structure)->structure->kind, Kind::kTools);
  EXPECT_FALSE(read(structure)->structure->must_call);
  EXPECT_TRUE(read(structure)->structure->many_calls);
  tools.add_tools();
  EXPECT_FALSE(read(structure).ok()) << "a tool without a name";
  structure.mutable_choice()->clear_texts();
  EXPECT_FALSE(read(structure).ok());
  structure.set_json_object(false);
  EXPECT_FALSE(read(structure).ok());
  structure.Clear();
  EXPECT_FALSE(read(structure).ok());
}

TEST(RequestTranslationTest, AbsentFieldsStayAbsent) {
  auto fields = TranslateFields(sdar::v1::GenerateRequest());
  ASSERT_THAT(fields, IsOk());
  EXPECT_FALSE(fields->temperature.has_value());
  EXPECT_FALSE(fields->seed.has_value());
  EXPECT_FALSE(fields->remasking_strategy.has_value());
  EXPECT_FALSE(fields->logprobs.has_value());
}

TEST(RequestTranslationTest, ZeroesThatAreSentAreKept) {
  sdar::v1::GenerateRequest request;
  request.mutable_sampling()->set_temperature(0);
  request.mutable_sampling()->set_top_k(0);
  request.mutable_sampling()->set_seed(0);
  request.mutable_output()->set_logprobs(0);
  auto fields = TranslateFields(request);
  ASSERT_THAT(fields, IsOk());
  EXPECT_EQ(fields->temperature, 0);
  EXPECT_EQ(fields->top_k, 0);
  EXPECT_EQ(fields->seed, 0u);
  EXPECT_EQ(fields->logprobs, 0);
}

TEST(RequestTranslationTest, PrioritiesMayBeNegativeAndAreBounded) {
  sdar::v1::GenerateRequest request;
  request.mutable_scheduling()->set_priority(-100);
  request.mutable_scheduling()->set_drafts(5);
  auto fields = TranslateFields(request);
  ASSERT_THAT(fields, IsOk());
  fields->max_tokens = 10;
  const auto samples = BuildRequests(*fields, {1}, {}, kLimits);
  ASSERT_THAT(samples, IsOk());
  EXPECT_EQ((*samples)[0].priority, -100);
  EXPECT_EQ((*samples)[0].drafts, 5);
  fields->priority = 101;
  EXPECT_THAT(BuildRequests(*fields, {1}, {}, kLimits),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("priority")));
}

TEST(RequestTranslationTest, TheDeadlineIsTheSoonerOfTheCallsAndTheTimeout) {
  const SteadyTime now = SteadyTime() + absl::Seconds(1000);
  const SteadyTime call = now + absl::Seconds(10);
  sdar::v1::GenerateRequest request;
  EXPECT_EQ(*TranslateDeadline(request.scheduling(), call, now), call);
  request.mutable_scheduling()->set_timeout_seconds(2.5);
  EXPECT_EQ(*TranslateDeadline(request.scheduling(), call, now), now + absl::Seconds(2.5));
  request.mutable_scheduling()->set_timeout_seconds(20);
  EXPECT_EQ(*TranslateDeadline(request.scheduling(), call, now), call);
  request.mutable_scheduling()->set_timeout_seconds(0);
  EXPECT_THAT(TranslateDeadline(request.scheduling(), call, now),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("timeout_seconds")));
}

TEST(RequestTranslationTest, StrategiesKeepTheirNames) {
  for (int i = 1; i <= 4; ++i) {
    sdar::v1::GenerateRequest request;
    const auto strategy = static_cast<sdar::v1::RemaskingStrategy>(i);
    request.mutable_sampling()->set_remasking_strategy(strategy);
    std::string upper = sdar::v1::RemaskingStrategy_Name(strategy);
    for (char& c : upper) c = static_cast<char>(std::tolower(c));
    EXPECT_EQ(Name(*TranslateFields(request)->remasking_strategy), upper);
  }
}

TEST(RequestTranslationTest, RefusesAStrategyFromTheFuture) {
  sdar::v1::GenerateRequest request;
  request.mutable_sampling()->set_remasking_strategy(static_cast<sdar::v1::RemaskingStrategy>(9));
  EXPECT_THAT(TranslateFields(request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("remasking_strategy")));
}

TEST(RequestTranslationTest, ToolCallsThatAreNotJsonAreNamed) {
  sdar::v1::Chat chat;
  chat.add_messages()->set_role("assistant");
  chat.mutable_messages(0)->set_tool_calls_json("{");
  EXPECT_THAT(TranslateChat(chat),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tool_calls_json")));
}

TEST(RequestTranslationTest, ARequestWithoutInputIsRefused) {
  EXPECT_THAT(TranslatePrompt(sdar::v1::GenerateRequest(), Tiny()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("prompt_ids")));
}

TEST(RequestTranslationTest, EveryFieldOfAScoreIsRead) {
  sdar::v1::ScoreRequest request;
  request.set_block_length(8);
  request.set_top_logprobs(3);
  request.mutable_scheduling()->set_priority(-2);
  request.mutable_scheduling()->set_drafts(5);  // means nothing to it
  auto fields = TranslateFields(request);
  ASSERT_THAT(fields, IsOk());
  size_t read = 0;
  VisitFields(*fields, [&](const char* name, const auto& member) {
    EXPECT_TRUE(member.has_value()) << name;
    ++read;
  });
  EXPECT_EQ(read, MemberCount<ScoreFields>());
  EXPECT_EQ(fields->block_length, 8);
  EXPECT_EQ(fields->top_logprobs, 3);
  EXPECT_EQ(fields->priority, -2);
}

TEST(RequestTranslationTest, AScoresPromptMayBeAbsentAndItsContinuationIsTokenizedByItself) {
  sdar::v1::ScoreRequest request;
  request.set_text("Hello!");
  EXPECT_TRUE(TranslatePrompt(request, Tiny())->empty());
  EXPECT_EQ(*TranslateContinuation(request, Tiny()), *Tiny().tokenizer().Encode("Hello!"));
  request.set_prompt("Hello");
  request.set_text("!");
  EXPECT_EQ(*TranslatePrompt(request, Tiny()), *Tiny().tokenizer().Encode("Hello"));
  EXPECT_EQ(*TranslateContinuation(request, Tiny()), *Tiny().tokenizer().Encode("!"));
  request.mutable_prompt_ids()->add_ids(7);
  request.mutable_ids()->add_ids(9);
  EXPECT_EQ(*TranslatePrompt(request, Tiny()), std::vector<TokenId>{7});
  EXPECT_EQ(*TranslateContinuation(request, Tiny()), std::vector<TokenId>{9});
}

TEST(RequestTranslationTest, AScoreWithoutAContinuationOrWithIdsThatAreNoneIsRefused) {
  sdar::v1::ScoreRequest request;
  EXPECT_THAT(TranslateContinuation(request, Tiny()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("continuation")));
  request.mutable_ids()->add_ids(0xFFFFFFFF);
  EXPECT_THAT(TranslateContinuation(request, Tiny()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("ids: expected a token id")));
  request.mutable_prompt_ids()->add_ids(0xFFFFFFFF);
  EXPECT_THAT(TranslatePrompt(request, Tiny()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("prompt_ids")));
}

TEST(RequestTranslationTest, TheJsonTextsOfAChatShareOneLimitOfValues) {
  sdar::v1::Chat chat;
  std::string values = "[0";
  for (int i = 0; i < 300000; ++i) values += ",0";
  for (int i = 0; i < 3; ++i) {
    sdar::v1::ChatMessage* message = chat.add_messages();
    message->set_role("assistant");
    message->set_tool_calls_json(values + "]");
  }
  EXPECT_THAT(TranslateChat(chat), IsOk());
  chat.set_tools_json(values + "]");
  EXPECT_THAT(TranslateChat(chat),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("tools_json: expected at most 99994 values")));
}

}  // namespace
}  // namespace sdar
