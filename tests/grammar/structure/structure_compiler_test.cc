// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/structure/structure_compiler.h"

#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/grammar/tokens/small_vocabulary.h"
#include "tests/status_matchers.h"

namespace sdar::grammar {
namespace {

using Kind = StructureSpec::Kind;
using ::testing::HasSubstr;

std::shared_ptr<StructureCompiler> Compiler(bool with_marks = true) {
  StructureMarks marks;
  if (with_marks) marks = {kThinkBegin, kThinkEnd, kCallBegin, kCallEnd};
  return std::make_shared<StructureCompiler>(std::make_shared<const Vocabulary>(SmallTokens()),
                                             marks);
}

// Whether an answer of a text, byte by byte with marks in between, may end.
bool Accepts(const StructureSpec& spec, const std::vector<std::string>& parts) {
  const std::vector<TokenId> ends = {kTokenEnd};
  const auto grammar = Compiler()->Compile(spec, ends);
  EXPECT_THAT(grammar, IsOk());
  if (!grammar.ok()) return false;
  TokenState state = (*grammar)->start();
  for (const std::string& part : parts) {
    if (part == "<call>" || part == "</call>" || part == "</think>") {
      state = (*grammar)->Next(state, part == "<call>"    ? kCallBegin
                                      : part == "</call>" ? kCallEnd
                                                          : kThinkEnd);
      continue;
    }
    for (char c : part) state = (*grammar)->Next(state, static_cast<uint8_t>(c));
  }
  return (*grammar)->MayEnd(state);
}

StructureSpec Spec(Kind kind, const std::string& text = "") {
  StructureSpec spec;
  spec.kind = kind;
  spec.text = text;
  return spec;
}

StructureSpec Tools() {
  StructureSpec spec = Spec(Kind::kTools);
  spec.tools = {{"f", R"({"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}},
                          "required": ["n"], "additionalProperties": false,
                          "$defs": {"n": {"type": "integer"}}})"},
                {"g", ""}};
  return spec;
}

TEST(StructureCompilerTest, EveryKindIsWhatItSays) {
  EXPECT_TRUE(Accepts(Spec(Kind::kJsonObject), {R"({"a": [1]})"}));
  EXPECT_FALSE(Accepts(Spec(Kind::kJsonObject), {"[1]"}));
  EXPECT_TRUE(Accepts(Spec(Kind::kJsonSchema, R"({"type": "integer"})"), {"12"}));
  EXPECT_FALSE(Accepts(Spec(Kind::kJsonSchema, R"({"type": "integer"})"), {"1.5"}));
  EXPECT_TRUE(Accepts(Spec(Kind::kRegex, "a+b"), {"aab"}));
  EXPECT_FALSE(Accepts(Spec(Kind::kRegex, "a+b"), {"xaab"}));
  StructureSpec choice = Spec(Kind::kChoice);
  choice.choices = {"yes", "no."};
  EXPECT_TRUE(Accepts(choice, {"no."}));
  EXPECT_FALSE(Accepts(choice, {"no"}));
}

TEST(StructureCompilerTest, CallsHaveTheArgumentsOfTheirTool) {
  const std::string good = R"({"name": "f", "arguments": {"n": 3}})";
  EXPECT_TRUE(Accepts(Tools(), {"<call>", good, "</call>"}));
  EXPECT_TRUE(Accepts(Tools(), {"<call>", "\n" + good + "\n", "</call>"}));
  EXPECT_TRUE(Accepts(Tools(), {"<call>", R"({"arguments": {"x": 1}, "name": "g"})", "</call>"}));
  EXPECT_FALSE(Accepts(Tools(), {"<call>", R"({"name": "f", "arguments": {}})", "</call>"}));
  EXPECT_FALSE(Accepts(Tools(), {"<call>", R"({"name": "h", "arguments": {}})", "</call>"}));
  EXPECT_FALSE(Accepts(Tools(), {good}));
  EXPECT_TRUE(Accepts(Tools(), {"<call>", good, "</call>", "\n", "<call>", good, "</call>"}));
  StructureSpec one = Tools();
  one.many_calls = false;
  EXPECT_FALSE(Accepts(one, {"<call>", good, "</call>", "<call>", good, "</call>"}));
}

TEST(StructureCompilerTest, WhereACallNeedNotBeMadeTextMayStand) {
  StructureSpec either = Tools();
  either.must_call = false;
  const std::string good = R"({"name": "f", "arguments": {"n": 3}})";
  EXPECT_TRUE(Accepts(either, {"Hello {"}));
  EXPECT_TRUE(Accepts(either, {"Let me see. ", "<call>", good, "</call>", " Done."}));
  EXPECT_FALSE(Accepts(either, {"<tool_call>"})) << "a call that is spelled would be read as one";
  either.text = R"({"type": "integer"})";
  EXPECT_TRUE(Accepts(either, {"12"}));
  EXPECT_TRUE(Accepts(either, {"<call>", good, "</call>"}));
  EXPECT_FALSE(Accepts(either, {"Hello"}));
}

TEST(StructureCompilerTest, AStructureMayBeginAfterThinking) {
  StructureSpec spec = Spec(Kind::kJsonSchema, R"({"const": 1})");
  spec.after_thinking = true;
  EXPECT_TRUE(Accepts(spec, {"what now", "</think>", "\n\n", "1"}));
  EXPECT_FALSE(Accepts(spec, {"1"}));
}

TEST(StructureCompilerTest, WhatCannotBeHadIsRefusedWithItsPlace) {
  const std::vector<TokenId> ends = {kTokenEnd};
  const auto refused = [&](const StructureSpec& spec, bool with_marks = true) {
    return std::string(Compiler(with_marks)->Compile(spec, ends).status().message());
  };
  EXPECT_THAT(refused(Spec(Kind::kJsonSchema, "{")), HasSubstr("the JSON schema"));
  EXPECT_THAT(refused(Spec(Kind::kJsonSchema, R"({"properties": {"a": {"type": "strung"}}})")),
              HasSubstr("/properties/a"));
  EXPECT_NE(refused(Spec(Kind::kRegex, "(a")), "");
  EXPECT_NE(refused(Spec(Kind::kRegex, "[^\\s\\S]")), "") << "no text matches";
  EXPECT_THAT(refused(Spec(Kind::kTools)), HasSubstr("tools"));
  EXPECT_THAT(refused(Tools(), false), HasSubstr("no tokens"));
  StructureSpec thinking = Spec(Kind::kRegex, "a");
  thinking.after_thinking = true;
  EXPECT_THAT(refused(thinking, false), HasSubstr("thinking"));
}

TEST(StructureCompilerTest, TheSameStructureIsCompiledOnce) {
  const auto compiler = Compiler();
  const std::vector<TokenId> one = {kTokenEnd}, other = {kOtherEnd};
  std::vector<std::shared_ptr<TokenGrammar>> grammars(8);
  std::vector<std::thread> threads;
  for (auto& grammar : grammars) {
    threads.emplace_back([&] { grammar = *compiler->Compile(Spec(Kind::kJsonObject), one); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& grammar : grammars) EXPECT_EQ(grammar, grammars[0]);
  EXPECT_NE(*compiler->Compile(Spec(Kind::kJsonObject), other), grammars[0]);
}

TEST(StructureCompilerTest, TheLeastRecentlyUsedAreForgotten) {
  const auto compiler = Compiler();
  const std::vector<TokenId> ends = {kTokenEnd};
  const auto first = *compiler->Compile(Spec(Kind::kRegex, "a"), ends);
  for (size_t i = 0; i < StructureCompiler::kMaxGrammars; ++i) {
    EXPECT_THAT(compiler->Compile(Spec(Kind::kRegex, "b{" + std::to_string(i + 1) + "}"), ends),
                IsOk());
  }
  EXPECT_NE(*compiler->Compile(Spec(Kind::kRegex, "a"), ends), first);
}

TEST(StructureCompilerTest, APromptMayEndInThinking) {
  const auto compiler = Compiler();
  EXPECT_TRUE(compiler->EndsInThinking({'a', kThinkBegin}));
  EXPECT_TRUE(compiler->EndsInThinking({'a', kThinkBegin, '\n', '\n'}));
  EXPECT_FALSE(compiler->EndsInThinking({'a', kThinkBegin, 'b'}));
  EXPECT_FALSE(compiler->EndsInThinking({}));
  EXPECT_FALSE(Compiler(false)->EndsInThinking({'\n'}));
}

}  // namespace
}  // namespace sdar::grammar
