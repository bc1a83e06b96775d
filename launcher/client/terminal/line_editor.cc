// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal/line_editor.h"

#include <algorithm>
#include <cerrno>
#include <cwchar>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <unistd.h>

#include "common/status_macros.h"
#include "common/utf8.h"
#include "histedit.h"
#include "launcher/client/terminal/terminal.h"

namespace sdar {
namespace {

wchar_t kPrompt[] = L"> ";
constexpr int kPromptColumns = 2;
constexpr char kPasteMode[] = "\033[?2004h";
constexpr char kNoPasteMode[] = "\033[?2004l";
constexpr absl::string_view kPasteEnd = "\033[201~";
// No keyboard sends it: characters that libedit is not to insert by itself come as this one.
constexpr wchar_t kHeldKey = 0x80;

wchar_t* Prompt(EditLine*) { return kPrompt; }

// Rows that end above the last one of so many columns.
int RowsAbove(int columns, int of_terminal) { return std::max(columns - 1, 0) / of_terminal; }

}  // namespace

LineEditor::LineEditor(Interrupts& interrupts, LineHistory& history)
    : input_(STDIN_FILENO, interrupts), interrupts_(interrupts), history_(history) {
  cookie_io_functions_t functions{};
  functions.write = &LineEditor::WriteOut;
  out_ = fopencookie(this, "w", functions);
  SDAR_CHECK(out_ != nullptr);
  editor_ =
      el_init_fd("sdar-client", stdin, out_, stderr, STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO);
  editor_history_ = history_winit();
  SDAR_CHECK(editor_ != nullptr && editor_history_ != nullptr);
  HistEventW event;
  history_w(editor_history_, &event, H_SETSIZE, static_cast<int>(LineHistory::kMaxLines));
  for (const std::string& line : history.lines()) AddToEditor(line);
  el_wset(editor_, EL_CLIENTDATA, this);
  el_wset(editor_, EL_PROMPT, &Prompt);
  el_wset(editor_, EL_SIGNAL, 0);
  el_wset(editor_, EL_GETCFN, &LineEditor::ReadCharacter);
  el_wset(editor_, EL_HIST, history_w, editor_history_);
  el_wset(editor_, EL_EDITOR, L"emacs");
  Bind();
}

LineEditor::~LineEditor() {
  el_end(editor_);
  history_wend(editor_history_);
  fclose(out_);
}

void LineEditor::Bind() {
  el_wset(editor_, EL_ADDFN, L"sdar-insert", L"inserts a character", &LineEditor::InsertHeld);
  el_wset(editor_, EL_ADDFN, L"sdar-newline", L"begins a new line", &LineEditor::InsertNewline);
  el_wset(editor_, EL_ADDFN, L"sdar-paste", L"inserts what is pasted", &LineEditor::InsertPaste);
  const std::pair<const wchar_t*, const wchar_t*> bindings[] = {
      {L"\\200", L"sdar-insert"},          {L"\\e\\r", L"sdar-newline"},
      {L"\\e\\n", L"sdar-newline"},        {L"\\e[200~", L"sdar-paste"},
      {L"\\e[3~", L"ed-delete-next-char"}, {L"\\e[1~", L"ed-move-to-beg"},
      {L"\\e[7~", L"ed-move-to-beg"},      {L"\\e[H", L"ed-move-to-beg"},
      {L"\\eOH", L"ed-move-to-beg"},       {L"\\e[4~", L"ed-move-to-end"},
      {L"\\e[8~", L"ed-move-to-end"},      {L"\\e[F", L"ed-move-to-end"},
      {L"\\eOF", L"ed-move-to-end"},       {L"\\e[1;5C", L"em-next-word"},
      {L"\\e[1;5D", L"ed-prev-word"},      {L"\\e[5~", L"ed-prev-history"},
      {L"\\e[6~", L"ed-next-history"},     {L"^R", L"em-inc-search-prev"},
  };
  for (const auto& [keys, function] : bindings) {
    el_wset(editor_, EL_BIND, keys, function, nullptr);
  }
  // Insert and the function keys, which would leave a part of their sequences in the line.
  for (const int key : {2, 11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 23, 24}) {
    const std::wstring keys = L"\\e[" + std::to_wstring(key) + L"~";
    el_wset(editor_, EL_BIND, keys.c_str(), L"ed-ignore", nullptr);
  }
}

LineEditor& LineEditor::Self(EditLine* editor) {
  void* self = nullptr;
  el_wget(editor, EL_CLIENTDATA, &self);
  return *static_cast<LineEditor*>(self);
}

InputLine LineEditor::Next() {
  interrupted_ = false;
  too_long_ = false;
  Print(kPasteMode);
  int count = 0;
  const wchar_t* symbols = el_wgets(editor_, &count);
  Print(kNoPasteMode);
  if (interrupted_) {
    return {was_empty_ ? InputLine::Kind::kInterrupt : InputLine::Kind::kCleared, ""};
  }
  if (symbols == nullptr || count <= 0) {
    Print("\n");
    return {InputLine::Kind::kEnd, ""};
  }
  return MakeLine(symbols, count);
}

InputLine LineEditor::MakeLine(const wchar_t* symbols, int count) const {
  std::wstring line(symbols, static_cast<size_t>(count));
  if (!line.empty() && line.back() == L'\n') line.pop_back();
  std::string text = alphabet_.Decode(line);
  if (too_long_ || text.size() > kMaxLineBytes) return {InputLine::Kind::kTooLong, ""};
  return {InputLine::Kind::kText, std::move(text)};
}

void LineEditor::Remember(const std::string& line) {
  if (history_.Add(line)) AddToEditor(line);
}

void LineEditor::AddToEditor(const std::string& line) {
  HistEventW event;
  history_w(editor_history_, &event, H_ENTER, alphabet_.Encode(line).c_str());
}

// Returns 1 with a character, 0 at the end of the input.
int LineEditor::ReadCharacter(EditLine* editor, wchar_t* out) {
  LineEditor& self = Self(editor);
  while (!self.interrupted_) {
    char32_t character = 0;
    const TerminalInput::Event event = self.input_.Next(character);
    if (event == TerminalInput::Event::kEnd) return 0;
    if (event == TerminalInput::Event::kSignal) {
      self.HandleEvents();
      continue;
    }
    if (character >= 0x80 && character < 0xA0) continue;
    if (ClusterAlphabet::NeedsSymbol(character)) {
      self.held_ = character;
      *out = kHeldKey;
    } else {
      *out = static_cast<wchar_t>(character);
    }
    return 1;
  }
  // Ends the line, whatever libedit waits for.
  *out = L'\n';
  return 1;
}

void LineEditor::HandleEvents() {
  const Interrupts::Events events = interrupts_.TakeEvents();
  if (events.interrupted) {
    const LineInfoW* line = el_wline(editor_);
    interrupted_ = true;
    was_empty_ = line->lastchar == line->buffer;
  }
  if (events.resumed) {
    // The shell has set the terminal's modes as it likes them.
    el_wset(editor_, EL_PREP_TERM, 0);
    el_wset(editor_, EL_PREP_TERM, 1);
    Print(kPasteMode);
  } else if (events.resized && !interrupted_) {
    EraseLine();
  }
  if (events.resized) el_resize(editor_);
  if ((events.resized || events.resumed) && !interrupted_) el_wset(editor_, EL_REFRESH);
}

// Takes the prompt and the line off a terminal that has just wrapped them anew.
void LineEditor::EraseLine() {
  const int of_terminal = SizeOfTerminal(STDOUT_FILENO).columns;
  const LineInfoW* line = el_wline(editor_);
  int columns = kPromptColumns;
  int rows_above = 0;
  for (const wchar_t* symbol = line->buffer; symbol < line->cursor; ++symbol) {
    if (*symbol == L'\n') {
      rows_above += 1 + RowsAbove(columns, of_terminal);
      columns = 0;
    } else {
      columns += *symbol == L'\t' ? 8 - columns % 8 : std::max(wcwidth(*symbol), 0);
    }
  }
  rows_above += RowsAbove(columns, of_terminal);
  // Row by row: a terminal may keep a screen that is erased as a whole among what has scrolled off.
  std::string bytes = "\r\033[J";
  for (int row = 0; row < rows_above; ++row) absl::StrAppend(&bytes, "\033[A\033[K");
  Print(bytes);
}

unsigned char LineEditor::InsertHeld(EditLine* editor, int) {
  LineEditor& self = Self(editor);
  std::string text;
  AppendUtf8(self.held_, text);
  std::wstring symbols = self.alphabet_.Encode(text);
  if (ClusterAlphabet::IsMark(self.held_)) {
    const LineInfoW* line = el_wline(editor);
    if (line->cursor == line->buffer) return CC_NORM;
    symbols = self.alphabet_.AddMark(line->cursor[-1], self.held_);
    el_wdeletestr(editor, 1);
  }
  return el_winsertstr(editor, symbols.c_str()) == 0 ? CC_REFRESH : CC_REFRESH_BEEP;
}

unsigned char LineEditor::InsertNewline(EditLine* editor, int) {
  return el_winsertstr(editor, L"\n") == 0 ? CC_REFRESH : CC_REFRESH_BEEP;
}

unsigned char LineEditor::InsertPaste(EditLine* editor, int) {
  LineEditor& self = Self(editor);
  const std::wstring symbols = self.alphabet_.Encode(self.ReadPaste());
  if (symbols.empty()) return CC_REFRESH;
  return el_winsertstr(editor, symbols.c_str()) == 0 ? CC_REFRESH : CC_REFRESH_BEEP;
}

// Up to the sequence that ends a paste, with lines that end as text's do.
std::string LineEditor::ReadPaste() {
  std::string text;
  bool after_return = false;
  while (!interrupted_ && !absl::EndsWith(text, kPasteEnd)) {
    char32_t character = 0;
    const TerminalInput::Event event = input_.Next(character);
    if (event == TerminalInput::Event::kEnd) break;
    if (event == TerminalInput::Event::kSignal) {
      HandleEvents();
      continue;
    }
    if (text.size() > kMaxLineBytes) {
      too_long_ = true;
      text.erase(0, text.size() - kPasteEnd.size());
    }
    const bool ends_return = character == '\n' && after_return;
    after_return = character == '\r';
    if (!ends_return) AppendUtf8(after_return ? U'\n' : character, text);
  }
  if (too_long_) return "";
  if (absl::EndsWith(text, kPasteEnd)) text.resize(text.size() - kPasteEnd.size());
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

void LineEditor::Print(absl::string_view bytes) {
  fwrite(bytes.data(), 1, bytes.size(), out_);
  fflush(out_);
}

ssize_t LineEditor::WriteOut(void* self, const char* bytes, size_t size) {
  LineEditor& editor = *static_cast<LineEditor*>(self);
  editor.unwritten_.append(bytes, size);
  const size_t whole = editor.unwritten_.size() - TruncatedTailLength(editor.unwritten_);
  const std::string text =
      editor.alphabet_.DecodeUtf8(absl::string_view(editor.unwritten_).substr(0, whole));
  editor.unwritten_.erase(0, whole);
  for (size_t written = 0; written < text.size();) {
    const ssize_t count = write(STDOUT_FILENO, text.data() + written, text.size() - written);
    if (count < 0 && errno != EINTR) return 0;
    if (count > 0) written += static_cast<size_t>(count);
  }
  return static_cast<ssize_t>(size);
}

}  // namespace sdar
