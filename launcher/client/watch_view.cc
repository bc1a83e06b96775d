// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/watch_view.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "common/utf8.h"
#include "launcher/client/terminal/terminal_text.h"

namespace sdar {
namespace {

using sdar::v1::Provisional;

constexpr char kShade[] = "\u2591";   // a masked position without a plausible choice
constexpr char kNoText[] = "\u220E";  // a special token: the end of the answer
constexpr float kPlausible = 0.2f;
constexpr int kTabColumns = 4;
constexpr int kMinColumns = 20;  // of a terminal; a narrower one cuts rows
// Row by row: a terminal may keep a screen that is erased as a whole among what has scrolled off.
constexpr char kEraseRow[] = "\033[K";
constexpr char kEraseBelow[] = "\033[J";
constexpr char kNoWrap[] = "\033[?7l";
constexpr char kWrap[] = "\033[?7h";

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
  absl::StrAppend(&out, kEraseRow);
  for (size_t i = begin; i < end; ++i) {
    if (cells[i].style != style) {
      style = cells[i].style;
      absl::StrAppend(&out, "\033[0", style.empty() ? "" : ";", style, "m");
    }
    absl::StrAppend(&out, cells[i].text);
  }
  if (!style.empty()) absl::StrAppend(&out, "\033[0m");
}

struct RowEnd {
  size_t end = 0;      // behind a space, where there is one
  size_t decided = 0;  // the cell that says so: the first that does not fit
};

// Where the row that begins at cell `begin` ends.
RowEnd FindRowEnd(const std::vector<WatchCell>& cells, size_t begin, int row_columns) {
  int columns = 0;
  size_t after_space = 0;
  for (size_t i = begin; i < cells.size(); ++i) {
    columns += cells[i].columns;
    if (columns > row_columns) return {after_space > begin ? after_space : i, i};
    if (cells[i].text == " ") after_space = i + 1;
  }
  return {cells.size(), cells.size()};
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

std::string WatchView::AddText(absl::string_view text) {
  std::string out;
  const std::string safe = ForTerminal(text);
  absl::string_view rest = safe;
  for (size_t end = rest.find('\n'); end != absl::string_view::npos; end = rest.find('\n')) {
    AppendCells(rest.substr(0, end), "", final_);
    absl::StrAppend(&out, Finish());
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
  std::string out = Redraw();
  // The rest of the line is below the cursor, and too short to change any more.
  AppendRow(final_, 0, final_.size(), out);
  final_.clear();
  return absl::StrCat(out, "\n");
}

// Erases the rows that may change and writes them anew, after those that now cannot change.
std::string WatchView::Redraw() {
  const TerminalSize size = size_();
  // One less than the terminal's, so that no row wraps by itself.
  const int columns = std::max(size.columns, kMinColumns) - 1;
  std::string out = "\r";
  std::vector<WatchCell> cells = final_;
  cells.insert(cells.end(), block_.begin(), block_.end());
  size_t begin = 0;
  for (RowEnd row = FindRowEnd(cells, begin, columns); row.decided < final_.size();
       row = FindRowEnd(cells, begin, columns)) {
    AppendRow(cells, begin, row.end, out);
    absl::StrAppend(&out, "\n");
    begin = row.end;
  }
  final_.erase(final_.begin(), final_.begin() + static_cast<std::ptrdiff_t>(begin));
  // Rows cut at the margin stay as many as they are if the window narrows at this moment.
  absl::StrAppend(&out, kNoWrap);
  int rows_below = 0;
  for (; begin < cells.size(); ++rows_below) {
    // More would push the first of them off the screen.
    if (rows_below + 1 >= size.rows) break;
    const size_t end = FindRowEnd(cells, begin, columns).end;
    if (rows_below > 0) absl::StrAppend(&out, "\n");
    AppendRow(cells, begin, end, out);
    begin = end;
  }
  if (rows_below == 0) absl::StrAppend(&out, kEraseRow);
  absl::StrAppend(&out, kEraseBelow, kWrap);
  if (rows_below > 1) absl::StrAppend(&out, "\033[", rows_below - 1, "A");
  absl::StrAppend(&out, "\r");
  return out;
}

}  // namespace sdar
