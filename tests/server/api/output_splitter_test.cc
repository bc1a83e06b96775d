// SPDX-License-Identifier: Apache-2.0
// Reasoning, content and tool calls come apart the same way however the text is cut.
#include "runtime/server/api/output_splitter.h"

#include "gtest/gtest.h"

namespace sdar {
namespace {

void Append(const OutputPiece& piece, OutputPiece& to) {
  to.reasoning += piece.reasoning;
  to.content += piece.content;
  for (const ToolCall& call : piece.tool_calls) {
    if (call.name.empty()) {
      to.tool_calls.back().arguments += call.arguments;
    } else {
      to.tool_calls.push_back(call);
    }
  }
}

// Fed in pieces of `size` bytes.
OutputPiece Split(const std::string& text, OutputSplitter::Options options, size_t size) {
  OutputSplitter splitter(options);
  OutputPiece all;
  for (size_t i = 0; i < text.size(); i += size) Append(splitter.Push(text.substr(i, size)), all);
  Append(splitter.Flush(), all);
  return all;
}

struct Expected {
  std::string reasoning;
  std::string content;
  std::vector<std::pair<std::string, std::string>> calls;
};

void ExpectSplit(const std::string& text, OutputSplitter::Options options,
                 const Expected& expected) {
  for (size_t size : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, text.size() + 1}) {
    const OutputPiece piece = Split(text, options, size);
    EXPECT_EQ(piece.reasoning, expected.reasoning) << size << ": " << text;
    EXPECT_EQ(piece.content, expected.content) << size << ": " << text;
    ASSERT_EQ(piece.tool_calls.size(), expected.calls.size()) << size << ": " << text;
    for (size_t i = 0; i < expected.calls.size(); ++i) {
      EXPECT_EQ(piece.tool_calls[i].name, expected.calls[i].first);
      EXPECT_EQ(piece.tool_calls[i].arguments, expected.calls[i].second);
    }
  }
}

constexpr OutputSplitter::Options kPlain{false, false};
constexpr OutputSplitter::Options kTools{false, true};
constexpr OutputSplitter::Options kStreamed{false, true, true};

TEST(OutputSplitterTest, PlainTextIsContentToTheByte) {
  ExpectSplit("", kPlain, {});
  ExpectSplit(" Hello, <world>!\n\n", kPlain, {"", " Hello, <world>!\n\n", {}});
  ExpectSplit("  a <tool_call> b \n", kTools, {"", "  a <tool_call> b \n", {}});
  ExpectSplit("a <tool_call>{}</tool_call>", kPlain, {"", "a <tool_call>{}</tool_call>", {}});
}

TEST(OutputSplitterTest, WhatStandsInThinkMarksInFrontIsReasoning) {
  ExpectSplit("<think>\nLet me see.\n\nYes.\n</think>\n\nIt is 4.", kPlain,
              {"Let me see.\n\nYes.", "It is 4.", {}});
  ExpectSplit("<think>\n\n</think>\n\nIt is 4.\n", kPlain, {"", "It is 4.\n", {}});
  ExpectSplit("It <think>is</think> 4.", kPlain, {"", "It <think>is</think> 4.", {}});
}

TEST(OutputSplitterTest, APromptThatOpensTheThinkingIsGoneOnWith) {
  ExpectSplit("So.\n</think>\n\n4", {true, false}, {"So.", "4", {}});
}

TEST(OutputSplitterTest, ReasoningThatNeverEndsStaysReasoning) {
  ExpectSplit("<think>\nOn and on </thi", kPlain, {"On and on </thi", "", {}});
}

TEST(OutputSplitterTest, ToolCallsComeWholeAndTheSpaceAroundThemGoes) {
  ExpectSplit(
      "I look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Lima\", \"n\": "
      "2}}\n</tool_call>\n"
      "<tool_call>{\"name\":\"time\"}</tool_call>\n",
      kTools, {"", "I look.", {{"weather", R"({"city":"Lima","n":2})"}, {"time", "{}"}}});
}

TEST(OutputSplitterTest, ReasoningMayGoBeforeToolCalls) {
  ExpectSplit(
      "<think>\nHm.\n</think>\n\n<tool_call>{\"name\":\"f\",\"arguments\":\"{}\"}</tool_call>",
      kTools, {"Hm.", "", {{"f", "{}"}}});
}

TEST(OutputSplitterTest, AToolCallThatIsNoneIsContent) {
  for (const std::string body :
       {"{\"name\": 3}", "[1]", "not json", "{\"arguments\": {}}",
        "{\"name\": \"f\", \"arguments\": 3}", "{\"name\": \"f\", \"arguments\": {\"a\": 01}}",
        "{\"name\": \"f\", \"arguments\": {\"a\": 1.}}",
        "{\"name\": \"f\", \"arguments\": {\"a\": 1,}}",
        "{\"name\": \"f\", \"arguments\": {\"a\": \"\\x\"}}", "{\"name\": \"f\"} 1",
        "{\"name\": \"f\",}"}) {
    const std::string text = "a <tool_call>" + body + "</tool_call> b";
    ExpectSplit(text, kTools, {"", text, {}});
  }
}

TEST(OutputSplitterTest, ACompleteToolCallNeedsNoEndMark) {
  for (const std::string end : {"", "\n", "\n</tool_", " </tool_call"}) {
    ExpectSplit("I look. <tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}" + end, kTools,
                {"", "I look.", {{"f", R"({"a":1})"}}});
  }
}

TEST(OutputSplitterTest, ArgumentsKeepTheirDigits) {
  ExpectSplit(
      "<tool_call>{\"arguments\": {\"n\": 123456789012345678901234567890, \"x\": [1E400, -0.10, "
      "1.0e-7], \"s\": \"a \\u00e9 b\"}, \"name\": \"f\"}</tool_call>",
      kTools,
      {"",
       "",
       {{"f",
         R"({"n":123456789012345678901234567890,"x":[1E400,-0.10,1.0e-7],"s":"a \u00e9 b"})"}}});
}

TEST(OutputSplitterTest, AToolCallThatIsCutOffIsContent) {
  ExpectSplit("<tool_call>{\"name\": \"f\"", kTools, {"", "<tool_call>{\"name\": \"f\"", {}});
}

TEST(OutputSplitterTest, StreamedCallsAreTheSameInTheEnd) {
  ExpectSplit(
      "I look.\n<tool_call>\n{ \"name\" : \"weather\", \"arguments\": {\"city\": \"San }\\\" "
      "<b>\", "
      "\"n\": [2, {}]}}\n</tool_call>\n<tool_call>{\"name\":\"time\"}</tool_call>\nDone.",
      kStreamed,
      {"", "I look.Done.", {{"weather", R"({"city":"San }\" <b>","n":[2,{}]})"}, {"time", "{}"}}});
  ExpectSplit("<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"f\"}</tool_call>", kStreamed,
              {"", "", {{"f", R"({"a":1})"}}});
  ExpectSplit("<tool_call>{\"name\": \"f\", \"arguments\": \"{}\"}</tool_call>", kStreamed,
              {"", "", {{"f", "{}"}}});
  ExpectSplit("a <tool_call>{\"name\": 3}</tool_call> b", kStreamed,
              {"", "a <tool_call>{\"name\": 3}</tool_call> b", {}});
}

TEST(OutputSplitterTest, AStreamedCallThatIsCutOffEndsWhereTheTextDoes) {
  ExpectSplit("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"x </tool", kStreamed,
              {"", "", {{"f", R"({"a":"x )"}}});
  ExpectSplit("<tool_call>{\"name\": \"f\", \"argum", kStreamed,
              {"", "<tool_call>{\"name\": \"f\", \"argum", {}});
}

TEST(OutputSplitterTest, StreamedArgumentsAreNotHeld) {
  OutputSplitter splitter(kStreamed);
  OutputPiece piece = splitter.Push("<tool_call>{\"name\": \"f\", \"arguments\": {\"city");
  ASSERT_EQ(piece.tool_calls.size(), 1u);
  EXPECT_EQ(piece.tool_calls[0].name, "f");
  EXPECT_EQ(piece.tool_calls[0].arguments, "{\"city");
  piece = splitter.Push("\": 1");
  ASSERT_EQ(piece.tool_calls.size(), 1u);
  EXPECT_EQ(piece.tool_calls[0].name, "");
  EXPECT_EQ(piece.tool_calls[0].arguments, "\":1");
}

TEST(OutputSplitterTest, CertainTextIsNotHeld) {
  OutputSplitter splitter(kTools);
  EXPECT_EQ(splitter.Push("Hello").content, "Hello");
  EXPECT_EQ(splitter.Push(" <tool").content, "");
  EXPECT_EQ(splitter.Push("s>").content, " <tools>");
}

// Feeds `text` byte by byte and says how many bytes were looked at for each of them.
double ReadsPerByte(const std::string& text, OutputSplitter::Options options) {
  OutputSplitter splitter(options);
  size_t size = 0;
  for (const char c : text) {
    const OutputPiece piece = splitter.Push(absl::string_view(&c, 1));
    size += piece.content.size() + piece.reasoning.size();
  }
  splitter.Flush();
  EXPECT_LE(size, text.size());
  return static_cast<double>(splitter.bytes_read()) / static_cast<double>(text.size());
}

std::string Repeat(const std::string& text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

TEST(OutputSplitterTest, EveryByteIsReadAFewTimesHoweverTheTextIsMade) {
  constexpr size_t kCount = 200000;
  for (const std::string& text :
       {Repeat(" ", kCount), Repeat("\n", kCount) + "a", "a" + Repeat(" ", kCount),
        "<think>" + Repeat("\n", kCount), "<think>a" + Repeat(" ", kCount) + "</think>b",
        "<tool_call>" + Repeat("{", kCount), "<tool_call>" + Repeat(" ", kCount) + "</tool_call>",
        Repeat("<tool_call", kCount / 10), Repeat("<tool_call>", kCount / 10),
        Repeat("<tool_call>{}</tool_call> ", kCount / 20), Repeat("<", kCount),
        "<think>" + Repeat("</think", kCount / 7),
        "<tool_call>" + Repeat("</tool_call", kCount / 10),
        Repeat("<tool_call>{\"name\":\"f\"}</tool_call>\n", kCount / 30)}) {
    for (const OutputSplitter::Options options : {kPlain, kTools, kStreamed}) {
      EXPECT_LE(ReadsPerByte(text, options), 14) << text.substr(0, 30);  // a mark's size and some
    }
  }
}

TEST(OutputSplitterTest, ManyCallsInOnePieceAreReadOnce) {
  OutputSplitter splitter(kTools);
  const std::string text = Repeat("<tool_call>{\"name\":\"f\"}</tool_call>\n", 20000);
  EXPECT_EQ(splitter.Push(text).tool_calls.size(), 20000u);
  EXPECT_LE(splitter.bytes_read(), 3 * text.size());
}

}  // namespace
}  // namespace sdar
