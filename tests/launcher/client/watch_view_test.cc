// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/watch_view.h"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/utf8.h"
#include "launcher/client/answer_printer.h"

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

std::vector<std::string> CharactersOf(const std::string& text) {
  std::vector<std::string> out;
  for (size_t i = 0; i < text.size();) {
    const size_t length = ReadUtf8(text, i).length;
    out.push_back(text.substr(i, length));
    i += length;
  }
  return out;
}

// Just enough of a terminal, of a window that is wide enough for every row.
class Screen {
 public:
  void Write(const std::string& bytes) {
    const std::vector<std::string> characters = CharactersOf(bytes);
    for (size_t i = 0; i < characters.size(); ++i) {
      if (characters[i] == "\r") {
        column_ = 0;
      } else if (characters[i] == "\n") {
        column_ = 0;
        if (++row_ == cells_.size()) cells_.emplace_back();
      } else if (characters[i] == "\033") {
        std::string sequence;
        for (i += 2; !std::isalpha(characters[i][0]); ++i) sequence += characters[i];
        Obey(characters[i][0], sequence);
      } else {
        Row().resize(std::max(Row().size(), column_ + 1));
        Row()[column_++] = characters[i];
      }
    }
  }

  std::vector<std::string> rows() const {
    std::vector<std::string> out;
    for (const auto& cells : cells_) out.push_back(absl::StrJoin(cells, ""));
    return out;
  }
  size_t row() const { return row_; }
  size_t column() const { return column_; }

 private:
  std::vector<std::string>& Row() { return cells_[row_]; }

  void Obey(char command, const std::string& parameter) {
    if (command == 'A') row_ -= static_cast<size_t>(std::stoi(parameter));
    if (command == 'K' || command == 'J') Row().resize(std::min(Row().size(), column_));
    if (command == 'J') cells_.resize(row_ + 1);
  }

  std::vector<std::vector<std::string>> cells_{1};
  size_t row_ = 0;
  size_t column_ = 0;
};

std::function<TerminalSize()> Columns(int columns) {
  return [columns] { return TerminalSize{columns, 24}; };
}

std::vector<std::string> Shown(const std::string& bytes) {
  Screen screen;
  screen.Write(bytes);
  return screen.rows();
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
  WatchView view(Columns(80));
  std::string bytes = view.AddText("The ");
  bytes += view.ShowBlock(BlockOf({{"cap", 0.5f}, {"ital", -1}, {" of", 0.01f}}));
  EXPECT_EQ(Shown(bytes), std::vector<std::string>({"The capital\u2591"}));
  bytes += view.ShowBlock(BlockOf({{"cap", -1}, {"ital", -1}, {" is", -1}}));
  bytes += view.AddText("capital is");
  bytes += view.Finish();
  EXPECT_EQ(Shown(bytes), std::vector<std::string>({"The capital is", ""}));
}

TEST(WatchViewTest, LongTextWrapsAtSpacesAndRedrawsOnlyWhatMayChange) {
  WatchView view(Columns(21));
  std::string bytes = view.AddText("one two three four five six seven");
  bytes += view.ShowBlock(BlockOf({{" eight", 0.5f}, {" nine", 0.5f}, {" ten", 0.5f}}));
  EXPECT_EQ(Shown(bytes),
            std::vector<std::string>({"one two three four ", "five six seven ", "eight nine ten"}));
  const std::string redrawn = view.ShowBlock(BlockOf({{" eleven", 0.5f}}));
  EXPECT_THAT(redrawn, Not(HasSubstr("one")));
  EXPECT_EQ(Shown(bytes + redrawn),
            std::vector<std::string>({"one two three four ", "five six seven ", "eleven"}));
}

TEST(WatchViewTest, WordsLongerThanARowAreCut) {
  WatchView view(Columns(21));
  const std::string bytes = view.AddText(std::string(45, 'x'));
  EXPECT_EQ(Shown(bytes), std::vector<std::string>(
                              {std::string(20, 'x'), std::string(20, 'x'), std::string(5, 'x')}));
}

TEST(WatchViewTest, NewlinesOfTheTextAreKept) {
  WatchView view(Columns(40));
  std::string bytes = view.AddText("a\nb");
  bytes += view.ShowBlock(BlockOf({{"\n", 0.9f}}));
  bytes += view.AddText("\n\nc");
  bytes += view.Finish();
  EXPECT_EQ(Shown(bytes), std::vector<std::string>({"a", "b", "", "c", ""}));
}

TEST(WatchViewTest, CursorWaitsAtTheFirstRowThatMayChange) {
  WatchView view(Columns(21));
  Screen screen;
  screen.Write(view.AddText("one two three four five six seven"));
  screen.Write(view.ShowBlock(BlockOf({{" eight", 0.5f}, {" nine", 0.5f}, {" ten", 0.5f}})));
  EXPECT_EQ(screen.rows().size(), 3u);
  EXPECT_EQ(screen.row(), 1u);
  EXPECT_EQ(screen.column(), 0u);
}

TEST(WatchViewTest, NextRedrawHasTheWidthThatTheWindowHasThen) {
  int columns = 41;
  WatchView view([&] { return TerminalSize{columns, 24}; });
  Screen screen;
  screen.Write(view.AddText("one two three"));
  screen.Write(view.ShowBlock(BlockOf({{" four five", 0.5f}, {" six", 0.5f}})));
  EXPECT_EQ(screen.rows(), std::vector<std::string>({"one two three four five six"}));
  columns = 21;
  screen.Write(view.ShowBlock(BlockOf({{" four five", 0.5f}, {" six", 0.5f}})));
  EXPECT_EQ(screen.rows(), std::vector<std::string>({"one two three four ", "five six"}));
  columns = 41;
  screen.Write(view.AddText(" four five six"));
  screen.Write(view.Finish());
  EXPECT_EQ(screen.rows(), std::vector<std::string>({"one two three four five six", ""}));
}

TEST(WatchViewTest, BlockTallerThanTheWindowIsCut) {
  WatchView view([] { return TerminalSize{21, 3}; });
  const std::string bytes = view.ShowBlock(BlockOf({{std::string(20, 'a'), -1},
                                                    {std::string(20, 'b'), 0.5f},
                                                    {std::string(20, 'c'), 0.5f},
                                                    {std::string(20, 'd'), 0.5f}}));
  EXPECT_EQ(Shown(bytes), std::vector<std::string>({std::string(20, 'b'), std::string(20, 'c')}));
}

GenerateResponse DeltaOf(uint32_t index, const std::string& text) {
  GenerateResponse response;
  response.mutable_delta()->set_index(index);
  response.mutable_delta()->set_text(text);
  return response;
}

TEST(AnswerPrinterTest, FirstSampleStreamsAndTheOthersFollow) {
  std::ostringstream out;
  AnswerPrinter printer({AnswerStyle::kText, false, Columns(80)}, out);
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
  AnswerPrinter printer({AnswerStyle::kText, true, Columns(80)}, out);
  printer.Show(DeltaOf(0, "a\x1b]0;title\x07"));
  printer.Finish();
  EXPECT_EQ(out.str(), "a\uFFFD]0;title\uFFFD\n");
}

TEST(AnswerPrinterTest, WithoutATerminalWatchPrintsALinePerStepAndThenTheText) {
  std::ostringstream out;
  AnswerPrinter printer({AnswerStyle::kWatchLines, false, Columns(80)}, out);
  GenerateResponse step;
  *step.mutable_provisional() = BlockOf({{"a", -1}, {"b", 0.5f}});
  printer.Show(step);
  printer.Show(DeltaOf(0, "ab"));
  printer.Finish();
  EXPECT_EQ(out.str(), "block 2 step 1 |a|\u2591|\nab\n");
}

}  // namespace
}  // namespace sdar
