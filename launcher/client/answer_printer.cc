// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/answer_printer.h"

#include "absl/strings/str_cat.h"

#include "launcher/client/terminal/terminal_text.h"

namespace sdar {

using sdar::v1::Delta;
using sdar::v1::GenerateResponse;
using sdar::v1::Provisional;

AnswerPrinter::AnswerPrinter(const AnswerPrinterOptions& options, std::ostream& out)
    : options_(options), out_(out), view_(options.size) {}

void AnswerPrinter::Show(const GenerateResponse& response) {
  if (options_.style == AnswerStyle::kSilent) return;
  if (response.has_delta()) ShowDelta(response.delta());
  if (response.has_provisional()) ShowBlock(response.provisional());
}

void AnswerPrinter::ShowDelta(const Delta& delta) {
  if (delta.text().empty()) return;
  if (options_.style == AnswerStyle::kWatch) {
    out_ << view_.AddText(delta.text()) << std::flush;
  } else if (options_.style == AnswerStyle::kText && delta.index() == 0) {
    Write(delta.text());
  } else {
    if (held_.size() <= delta.index()) held_.resize(delta.index() + 1);
    held_[delta.index()] += delta.text();
  }
}

void AnswerPrinter::ShowBlock(const Provisional& block) {
  if (options_.style == AnswerStyle::kWatch) {
    out_ << view_.ShowBlock(block) << std::flush;
  } else if (options_.style == AnswerStyle::kWatchLines) {
    out_ << PlainLineOf(block) << std::endl;
  }
}

void AnswerPrinter::Write(const std::string& text) {
  if (text.empty()) return;
  out_ << (options_.terminal ? ForTerminal(text) : text) << std::flush;
  line_is_open_ = text.back() != '\n';
}

void AnswerPrinter::Finish() {
  if (options_.style == AnswerStyle::kSilent) return;
  if (options_.style == AnswerStyle::kWatch) {
    out_ << view_.Finish() << std::flush;
    return;
  }
  for (size_t i = 0; i < held_.size(); ++i) {
    if (i > 0) {
      if (line_is_open_) Write("\n");
      Write(absl::StrCat("--- sample ", i, " ---\n"));
    }
    Write(held_[i]);
  }
  if (line_is_open_) Write("\n");
}

}  // namespace sdar
