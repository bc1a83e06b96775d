// SPDX-License-Identifier: Apache-2.0
// A line on standard error that shows how far long work is; nothing where standard error is not a
// terminal.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include <unistd.h>

#include "common/line_writer.h"
#include "common/steady_time.h"

namespace sdar {

// One thread.
class ProgressBar {
 public:
  explicit ProgressBar(std::string title) : title_(std::move(title)), shown_(isatty(2) != 0) {
    if (shown_) out_.emplace(2, Bounded());
  }
  ~ProgressBar() {
    if (shown_ && drawn_) out_->Write("\r\033[K");
  }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // fraction: 0 .. 1; note: what to say after the bar.
  void Show(double fraction, const std::string& note = "") {
    constexpr int kWidth = 30;
    const SteadyTime now = SteadyTime::Now();
    if (!shown_ || (drawn_ && fraction < 1 && now - last_ < absl::Milliseconds(100))) return;
    last_ = now;
    drawn_ = true;
    const int filled = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * kWidth);
    const std::string bar(static_cast<size_t>(filled), '#');
    out_->Write(
        absl::StrFormat("\r\033[K%s [%-*s] %3.0f%% %s", title_, kWidth, bar, fraction * 100, note));
  }

 private:
  static LineWriterOptions Bounded() {
    LineWriterOptions options;
    options.max_bytes = 4096;
    options.close_timeout = absl::Milliseconds(100);
    return options;
  }

  std::string title_;
  bool shown_;
  bool drawn_ = false;
  SteadyTime last_;
  std::optional<LineWriter> out_;  // a terminal may be stopped; what it misses is drawn again
};

}  // namespace sdar
