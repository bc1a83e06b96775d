// SPDX-License-Identifier: Apache-2.0
// Shows an answer while it comes: as a stream of text, or as the block being denoised.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "launcher/client/terminal/terminal.h"
#include "launcher/client/watch_view.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

enum class AnswerStyle {
  kText,        // text as it becomes final; of several samples one after the other
  kWatch,       // the block redrawn in place; one sample, a terminal
  kWatchLines,  // one line per denoising step, then the text
  kSilent,
};

struct AnswerPrinterOptions {
  AnswerStyle style = AnswerStyle::kText;
  bool terminal = false;  // control characters are replaced
  std::function<TerminalSize()> size = [] { return TerminalSize{}; };  // now; for kWatch
};

// Writes to `out`, which must outlive it. One answer.
class AnswerPrinter {
 public:
  AnswerPrinter(const AnswerPrinterOptions& options, std::ostream& out);

  void Show(const sdar::v1::GenerateResponse& response);
  // The stream is over, well or not: shows what was held back and ends the line.
  void Finish();

 private:
  void ShowDelta(const sdar::v1::Delta& delta);
  void ShowBlock(const sdar::v1::Provisional& block);
  void Write(const std::string& text);

  AnswerPrinterOptions options_;
  std::ostream& out_;
  WatchView view_;
  std::vector<std::string> held_;  // text by sample that waits for its turn
  bool line_is_open_ = false;
};

}  // namespace sdar
