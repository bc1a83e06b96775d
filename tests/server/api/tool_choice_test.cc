// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/bodies/tool_choice.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ToolKind = grammar::StructureSpec::Kind;
using ::testing::StartsWith;

constexpr const char* kTwoTools = R"([
  {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
  {"type": "function", "function": {"name": "g"}}])";

Json ParseToolJson(const std::string& text) { return *ParseJson(text, "test"); }

absl::StatusOr<ToolChoice> ChoiceOf(const std::string& choice) {
  Json body = ParseToolJson("{\"tool_choice\": " + choice + "}");
  return TakeToolChoice(body);
}

absl::StatusOr<std::optional<grammar::StructureSpec>> StructureOf(
    const std::string& tools, const ToolChoice& choice,
    std::optional<grammar::StructureSpec> structure = std::nullopt) {
  const absl::Status status = SetToolStructure(ParseToolJson(tools), choice, structure);
  if (!status.ok()) return status;
  return structure;
}

TEST(ToolChoiceTest, ChoicesAreReadInBothForms) {
  EXPECT_TRUE(ChoiceOf("null")->may_call);
  EXPECT_FALSE(ChoiceOf("\"auto\"")->must_call);
  EXPECT_FALSE(ChoiceOf("\"none\"")->may_call);
  EXPECT_TRUE(ChoiceOf("\"required\"")->must_call);
  EXPECT_EQ(ChoiceOf(R"({"type": "function", "function": {"name": "f"}})")->name, "f");
  EXPECT_EQ(ChoiceOf(R"({"type": "function", "name": "f"})")->name, "f");
  for (const char* wrong : {"3", "\"all\"", "{}", R"({"type": "function"})",
                            R"({"type": "function", "function": {"name": ""}})",
                            R"({"type": "allowed_tools", "name": "f"})"}) {
    EXPECT_THAT(ChoiceOf(wrong),
                StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("tool_choice: ")))
        << wrong;
  }
}

TEST(ToolChoiceTest, ACallThatMustBeMadeIsAStructure) {
  ToolChoice choice;
  choice.must_call = true;
  choice.parallel_calls = false;
  const auto spec = StructureOf(kTwoTools, choice);
  ASSERT_THAT(spec, IsOk());
  EXPECT_EQ((*spec)->kind, ToolKind::kTools);
  EXPECT_TRUE((*spec)->must_call);
  EXPECT_FALSE((*spec)->many_calls);
  ASSERT_EQ((*spec)->tools.size(), 2u);
  EXPECT_EQ((*spec)->tools[0].parameters, R"({"type":"object"})");
  EXPECT_EQ((*spec)->tools[1].parameters, "");
  choice.name = "g";
  EXPECT_EQ((*StructureOf(kTwoTools, choice))->tools.size(), 1u);
}

TEST(ToolChoiceTest, WithoutAskingNothingIsAskedOfTheTools) {
  EXPECT_FALSE(*StructureOf(kTwoTools, {}));
  EXPECT_FALSE(*StructureOf("[3]", {})) << "templates alone read them";
  ToolChoice none;
  none.may_call = false;
  EXPECT_FALSE(*StructureOf(kTwoTools, none));
}

TEST(ToolChoiceTest, AStrictToolIsExactWhereverItIsCalled) {
  const auto spec =
      StructureOf(R"([{"type": "function", "function": {"name": "f", "strict": true}}])", {});
  ASSERT_THAT(spec, IsOk());
  EXPECT_FALSE((*spec)->must_call);
  ToolChoice strict;
  strict.strict = true;
  EXPECT_TRUE(*StructureOf(kTwoTools, strict));
}

TEST(ToolChoiceTest, AFormatIsThatOfAnAnswerWithoutCalls) {
  grammar::StructureSpec format;
  format.kind = ToolKind::kJsonSchema;
  format.text = "{}";
  EXPECT_EQ((*StructureOf(kTwoTools, {}, format))->text, "{}");
  ToolChoice choice;
  choice.must_call = true;
  EXPECT_EQ((*StructureOf(kTwoTools, choice, format))->text, "");
  EXPECT_EQ((*StructureOf("[]", {}, format))->kind, ToolKind::kJsonSchema);
  format.kind = ToolKind::kRegex;
  EXPECT_THAT(StructureOf(kTwoTools, {}, format),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("tools: ")));
}

TEST(ToolChoiceTest, WhatCannotBeCalledIsRefused) {
  ToolChoice choice;
  choice.must_call = true;
  EXPECT_THAT(StructureOf("[]", choice),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("tool_choice: ")));
  EXPECT_THAT(StructureOf("[3]", choice),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("tools[0]: ")));
  choice.name = "h";
  EXPECT_THAT(StructureOf(kTwoTools, choice),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("tool_choice: ")));
}

}  // namespace
}  // namespace sdar
