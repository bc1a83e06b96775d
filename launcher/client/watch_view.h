// SPDX-License-Identifier: Apache-2.0
// How sdar-client --watch shows a block while it is denoised: final text, then the active
// block, redrawn in place. Pure: returns the bytes to write and keeps what was drawn.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

#include "launcher/client/terminal/terminal.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

// One character cell (or two, or a combining mark's none) of the view.
struct WatchCell {
  std::string text;   // UTF-8 of one character
  std::string style;  // parameters of the terminal's SGR sequence; empty: plain
  int columns = 1;
};

// The cells of a block from its first masked position on (what comes before is final text):
// revealed positions bold; masked ones as their choice, the brighter the more confident, or as a
// shade where the model has no idea yet.
std::vector<WatchCell> CellsOf(const sdar::v1::Provisional& block);

// One line for a block where nothing can be redrawn: "block 2 step 1 |is|░|░| a|".
std::string PlainLineOf(const sdar::v1::Provisional& block);

// Between two calls the cursor stands at the first row that may change. A terminal whose window has
// got another width keeps it there, however it wraps the rows anew, so that nothing has to be known
// of the old width to erase them.
class WatchView {
 public:
  // size: of the terminal at this moment.
  explicit WatchView(std::function<TerminalSize()> size) : size_(std::move(size)) {}

  // Final text follows. Returns what to write.
  std::string AddText(absl::string_view text);
  // The active block is now this one. Returns what to write.
  std::string ShowBlock(const sdar::v1::Provisional& block);
  // Takes the block off the screen and ends the line. Returns what to write.
  std::string Finish();

 private:
  std::string Redraw();

  std::function<TerminalSize()> size_;
  std::vector<WatchCell> final_;  // final text from the first row on that may still change
  std::vector<WatchCell> block_;
};

}  // namespace sdar
