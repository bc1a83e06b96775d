// SPDX-License-Identifier: Apache-2.0
// Messages typed into a terminal, with libedit: editing, history, and pasted paragraphs.
#pragma once

#include <cstdio>
#include <string>

#include "absl/strings/string_view.h"

#include "launcher/client/terminal/cluster_alphabet.h"
#include "launcher/client/terminal/line_history.h"
#include "launcher/client/terminal/line_reader.h"
#include "launcher/client/terminal/terminal_input.h"

// Of libedit, whose header is for the source file alone.
struct editline;
struct historyW;

namespace sdar {

// Standard input and output are the terminal. Its modes are changed while Next waits. The locale
// must be one of UTF-8.
class LineEditor final : public LineReader {
 public:
  // Both must outlive it.
  LineEditor(Interrupts& interrupts, LineHistory& history);
  ~LineEditor() override;
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  InputLine Next() override;
  void Remember(const std::string& line) override;

 private:
  // What libedit calls.
  static int ReadCharacter(editline* editor, wchar_t* out);
  static unsigned char InsertHeld(editline* editor, int key);
  static unsigned char InsertNewline(editline* editor, int key);
  static unsigned char InsertPaste(editline* editor, int key);
  static LineEditor& Self(editline* editor);
  static ssize_t WriteOut(void* self, const char* bytes, size_t size);

  void Bind();
  void AddToEditor(const std::string& line);
  void HandleEvents();
  void EraseLine();
  std::string ReadPaste();
  InputLine MakeLine(const wchar_t* symbols, int count) const;
  void Print(absl::string_view bytes);

  TerminalInput input_;
  Interrupts& interrupts_;
  LineHistory& history_;
  ClusterAlphabet alphabet_;
  std::string unwritten_;  // the beginning of a character that libedit has not finished
  FILE* out_ = nullptr;    // writes through WriteOut
  editline* editor_ = nullptr;
  historyW* editor_history_ = nullptr;
  char32_t held_ = 0;         // typed; InsertHeld inserts it
  bool interrupted_ = false;  // while this line was read
  bool was_empty_ = false;    // the line, when it was interrupted
  bool too_long_ = false;
};

}  // namespace sdar
