// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/watch_view.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "common/utf8.h"
#include "launcher/client/terminal_text.h"

namespace sdar {
namespace {

using sdar::v1::Provisional;

constexpr char kShade[] = "\u2591";   // a masked position without a plausible choice
constexpr char kNoText[] = "\u220E";  // a special token: the end of the answer
constexpr float kPlausible = 0.2f;
constexpr int kTabColumns = 4;

void AppendCells(absl::string_view text, const std::string& style, std::vector<WatchCell>& out) {
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = ReadUtf8(text, i);
    const absl::string_view bytes = text.substr(i, step.length);
    if (bytes == "\t") {
      for (int space = 0; space < kTabColumns; ++space) out.push_back({" ", style, 1});
    } else {
      out.push_back({std::string(bytes), style, ColumnsOf(step.code_point)});
    }
    i += step.length;
  }
}

// A grey of the 256-colour palette between dark (0) and light (1), legible on both backgrounds.
std::string GreyOf(float confidence) {
  return absl::StrCat("38;5;", 239 + std::lround(std::clamp(confidence, 0.0f, 1.0f) * 9));
}

std::string TextOf(const Provisional::Position& position) {
  const std::string& text = position.text();
  const bool special = text.empty() || (absl::StartsWith(text, "<|") && absl::EndsWith(text, "|>"));
  return special ? kNoText : ForOneLine(text);
}

void AppendRow(const std::vector<WatchCell>& cells, size_t begin, size_t end, std::string& out) {
  absl::string_view style;
  for (size_t i = begin; i < end; ++i) {
    if (cells[i].style != style) {
      style = cells[i].style;
      absl::StrAppend(&out, "\033[0", style.empty() ? "" : ";", style, "m");
    }
    absl::StrAppend(&out, cells[i].text);
  }
  if (!style.empty()) absl::StrAppend(&out, "\033[0m");
}

}  // namespace

std::vector<WatchCell> CellsOf(const Provisional& block) {
  std::vector<WatchCell> cells;
  bool met_mask = false;
  for (const Provisional::Position& position : block.positions()) {
    met_mask = met_mask || position.masked();
    if (!met_mask) continue;
    if (!position.masked()) {
      AppendCells(TextOf(position), "1", cells);
    } else if (position.confidence() < kPlausible) {
      AppendCells(kShade, GreyOf(position.confidence()), cells);
    } else {
      AppendCells(TextOf(position), GreyOf(position.confidence()), cells);
    }
  }
  return cells;
}

std::string PlainLineOf(const Provisional& block) {
  std::string line = absl::StrCat("block ", block.block(), " step ", block.step(), " |");
  for (const Provisional::Position& position : block.positions()) {
    absl::StrAppend(&line, position.masked() ? kShade : TextOf(position), "|");
  }
  return line;
}

WatchView::WatchView(int columns) : row_columns_(std::max(columns, 20) - 1) {}

std::string WatchView::AddText(absl::string_view text) {
  std::string out;
  const std::string safe = ForTerminal(text);
  absl::string_view rest = safe;
  for (size_t end = rest.find('\n'); end != absl::string_view::npos; end = rest.find('\n')) {
    AppendCells(rest.substr(0, end), "", final_);
    block_.clear();
    absl::StrAppend(&out, Redraw(), "\n");
    final_.clear();
    rows_above_ = 0;
    rest.remove_prefix(end + 1);
  }
  AppendCells(rest, "", final_);
  absl::StrAppend(&out, Redraw());
  return out;
}

std::string WatchView::ShowBlock(const Provisional& block) {
  block_ = CellsOf(block);
  return Redraw();
}

std::string WatchView::Finish() {
  block_.clear();
  std::string out = absl::StrCat(Redraw(), "\n");
  final_.clear();
  rows_above_ = 0;
  return out;
}

WatchView::RowEnd WatchView::FindRowEnd(const std::vector<WatchCell>& cells, size_t begin) const {
  int columns = 0;
  size_t after_space = 0;
  for (size_t i = begin; i < cells.size(); ++i) {
    columns += cells[i].columns;
    if (columns > row_columns_) {
      return {after_space > begin ? after_space : i, i < final_.size()};
    }
    if (cells[i].text == " ") after_space = i + 1;
  }
  return {cells.size(), false};
}

// Erases the rows that may change, writes them anew, and forgets those that now cannot change.
std::string WatchView::Redraw() {
  std::string out;
  if (rows_above_ > 0) absl::StrAppend(&out, "\033[", rows_above_, "A");
  absl::StrAppend(&out, "\r\033[J");
  rows_above_ = 0;
  std::vector<WatchCell> cells = final_;
  cells.insert(cells.end(), block_.begin(), block_.end());
  size_t num_fixed = 0;
  for (size_t begin = 0; begin < cells.size();) {
    const RowEnd row = FindRowEnd(cells, begin);
    AppendRow(cells, begin, row.end, out);
    if (row.end < cells.size()) {
      absl::StrAppend(&out, "\n");
      if (row.fixed) {
        num_fixed = row.end;
      } else {
        ++rows_above_;
      }
    }
    begin = row.end;
  }
  final_.erase(final_.begin(), final_.begin() + static_cast<std::ptrdiff_t>(num_fixed));
  return out;
}

}  // namespace sdar
