// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal/plain_lines.h"

#include <utility>

#include "common/utf8.h"

namespace sdar {

InputLine PlainLines::Next() {
  if (!echoes_) out_ << "> " << std::flush;
  InputLine line = Read();
  if (echoes_) {
    if (line.kind == InputLine::Kind::kText) out_ << "> " << line.text << std::endl;
  } else if (line.kind == InputLine::Kind::kEnd || line.kind == InputLine::Kind::kInterrupt) {
    out_ << std::endl;
  }
  return line;
}

InputLine PlainLines::Read() {
  std::string text;
  bool too_long = false;
  while (true) {
    char32_t character = 0;
    const TerminalInput::Event event = input_.Next(character);
    if (event == TerminalInput::Event::kSignal) {
      // The terminal throws away what was typed by itself.
      if (interrupts_.TakeEvents().interrupted) return {InputLine::Kind::kInterrupt, ""};
      continue;
    }
    const bool ended = event == TerminalInput::Event::kEnd;
    if (ended && text.empty()) return {InputLine::Kind::kEnd, ""};
    if (ended || character == '\n') break;
    too_long = too_long || text.size() >= kMaxLineBytes;
    if (!too_long) AppendUtf8(character, text);
  }
  if (too_long) return {InputLine::Kind::kTooLong, ""};
  return {InputLine::Kind::kText, std::move(text)};
}

}  // namespace sdar
