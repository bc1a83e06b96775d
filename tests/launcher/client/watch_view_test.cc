// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/watch_view.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "launcher/client/answer_printer.h"
#include "launcher/client/terminal_text.h"

namespace sdar {
namespace {

using sdar::v1::GenerateResponse;
using sdar::v1::Provisional;
using ::testing::HasSubstr;
using ::testing::Not;

struct Token {
  std::string text;
  float confidence;  // of a masked position; negative: revealed
};

Provisional BlockOf(const std::vector<Token>& tokens) {
  Provisional block;
  block.set_block(2);
  block.set_step(1);
  for (const Token& token : tokens) {
    auto& position = *block.add_positions();
    position.set_text(token.text);
    position.set_masked(token.confidence >= 0);
    position.set_confidence(token.confidence >= 0 ? token.confidence : 1);
  }
  return block;
}

// What a terminal without wrapping of its own shows after these bytes: just enough of one.
std::vector<std::string> Screen(const std::string& bytes) {
  std::vector<std::string> rows(1);
  size_t row = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '\r') continue;  // always followed by an erasure or at the row's end
    if (bytes[i] == '\n') {
      if (++row == rows.size()) rows.emplace_back();
    } else if (bytes[i] == '\033') {
      const size_t end = bytes.find_first_not_of("[;0123456789", i + 1);
      const std::string parameter = bytes.substr(i + 2, end - i - 2);
      if (bytes[end] == 'A') row -= static_cast<size_t>(std::stoi(parameter));
      if (bytes[end] == 'J') {
        rows.resize(row + 1);
        rows[row].clear();
      }
      i = end;
    } else {
      rows[row] += bytes[i];
    }
  }
  return rows;
}

TEST(WatchViewTest, MaskedPositionsAreShadesOrGreyChoices) {
  const auto cells = CellsOf(BlockOf({{"a", -1}, {"b", 0.05f}, {"c", -1}, {"d", 0.9f}}));
  ASSERT_EQ(cells.size(), 3u);  // the revealed prefix is final text
  EXPECT_EQ(cells[0].text, "\u2591");
  EXPECT_EQ(cells[1].text, "c");
  EXPECT_EQ(cells[1].style, "1");
  EXPECT_EQ(cells[2].text, "d");
  EXPECT_EQ(cells[2].style, "38;5;247");
}

TEST(WatchViewTest, SpecialTokensAndControlCharactersHaveSigns) {
  EXPECT_EQ(PlainLineOf(BlockOf({{"", -1}, {"\n", -1}, {"\x1b[2J", -1}, {"x", 0.9f}})),
            "block 2 step 1 |\u220E|\u23CE|\uFFFD[2J|\u2591|");
  EXPECT_EQ(PlainLineOf(BlockOf({{"<|im_end|>", -1}, {"<|", -1}})), "block 2 step 1 |\u220E|<||");
}

TEST(WatchViewTest, BlockIsReplacedInPlaceByFinalText) {
  WatchView view(80);
  std::string bytes = view.AddText("The ");
  bytes += view.ShowBlock(BlockOf({{"cap", 0.5f}, {"ital", -1}, {" of", 0.01f}}));
  EXPECT_EQ(Screen(bytes), std::vector<std::string>({"The capital\u2591"}));
  bytes += view.ShowBlock(BlockOf({{"cap", -1}, {"ital", -1}, {" is", -1}}));
  bytes += view.AddText("capital is");
  bytes += view.Finish();
  EXPECT_EQ(Screen(bytes), std::vector<std::string>({"The capital is", ""}));
}

TEST(WatchViewTest, LongTextWrapsAtSpacesAndRedrawsOnlyWhatMayChange) {
  WatchView view(21);
  std::string bytes = view.AddText("one two three four five six seven");
  bytes += view.ShowBlock(BlockOf({{" eight", 0.5f}, {" nine", 0.5f}, {" ten", 0.5f}}));
  EXPECT_EQ(Screen(bytes),
            std::vector<std::string>({"one two three four ", "five six seven ", "eight nine ten"}));
  const std::string redrawn = view.ShowBlock(BlockOf({{" eleven", 0.5f}}));
  EXPECT_THAT(redrawn, Not(HasSubstr("one")));
  EXPECT_EQ(Screen(bytes + redrawn),
            std::vector<std::string>({"one two three four ", "five six seven ", "eleven"}));
}

TEST(WatchViewTest, WordsLongerThanARowAreCut) {
  WatchView view(21);
  const std::string bytes = view.AddText(std::string(45, 'x'));
  EXPECT_EQ(Screen(bytes), std::vector<std::string>(
                               {std::string(20, 'x'), std::string(20, 'x'), std::string(5, 'x')}));
}

TEST(WatchViewTest, NewlinesOfTheTextAreKept) {
  WatchView view(40);
  std::string bytes = view.AddText("a\nb");
  bytes += view.ShowBlock(BlockOf({{"\n", 0.9f}}));
  bytes += view.AddText("\n\nc");
  bytes += view.Finish();
  EXPECT_EQ(Screen(bytes), std::vector<std::string>({"a", "b", "", "c", ""}));
}

TEST(TerminalTextTest, ControlCharactersNeverPass) {
  EXPECT_EQ(ForTerminal("a\x1b[31m\x07\tb\n\x7f\u009b"), "a\uFFFD[31m\uFFFD\tb\n\uFFFD\uFFFD");
  EXPECT_EQ(ForTerminal("\xff"), "\uFFFD");
  EXPECT_EQ(ColumnsOf(absl::string_view("a\u6f22\u0301")), 3);
}

GenerateResponse DeltaOf(uint32_t index, const std::string& text) {
  GenerateResponse response;
  response.mutable_delta()->set_index(index);
  response.mutable_delta()->set_text(text);
  return response;
}

TEST(AnswerPrinterTest, FirstSampleStreamsAndTheOthersFollow) {
  std::ostringstream out;
  AnswerPrinter printer({AnswerStyle::kText, false, 80}, out);
  printer.Show(DeltaOf(1, "x"));
  printer.Show(DeltaOf(0, "a\x1b"));
  EXPECT_EQ(out.str(), "a\x1b");
  printer.Show(DeltaOf(0, "b"));
  printer.Show(DeltaOf(1, "y"));
  printer.Finish();
  EXPECT_EQ(out.str(),
            "a\x1b"
            "b\n--- sample 1 ---\nxy\n");
}

TEST(AnswerPrinterTest, TerminalGetsNoControlCharacters) {
  std::ostringstream out;
  AnswerPrinter printer({AnswerStyle::kText, true, 80}, out);
  printer.Show(DeltaOf(0, "a\x1b]0;title\x07"));
  printer.Finish();
  EXPECT_EQ(out.str(), "a\uFFFD]0;title\uFFFD\n");
}

TEST(AnswerPrinterTest, WithoutATerminalWatchPrintsALinePerStepAndThenTheText) {
  std::ostringstream out;
  AnswerPrinter printer({AnswerStyle::kWatchLines, false, 80}, out);
  GenerateResponse step;
  *step.mutable_provisional() = BlockOf({{"a", -1}, {"b", 0.5f}});
  printer.Show(step);
  printer.Show(DeltaOf(0, "ab"));
  printer.Finish();
  EXPECT_EQ(out.str(), "block 2 step 1 |a|\u2591|\nab\n");
}

}  // namespace
}  // namespace sdar
