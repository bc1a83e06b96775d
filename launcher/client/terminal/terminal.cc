// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal/terminal.h"

#include <clocale>
#include <cstdlib>

#include "absl/strings/string_view.h"
#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace sdar {
namespace {

absl::string_view Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool LocaleIsUtf8() { return absl::string_view(nl_langinfo(CODESET)) == "UTF-8"; }

}  // namespace

TerminalSize SizeOfTerminal(int fd) {
  TerminalSize out;
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0) return out;
  if (size.ws_col > 0) out.columns = size.ws_col;
  if (size.ws_row > 0) out.rows = size.ws_row;
  return out;
}

bool TakesCursorMoves(int fd) {
  const absl::string_view kind = Variable("TERM");
  return isatty(fd) != 0 && !kind.empty() && kind != "dumb";
}

bool TakesStyles(int fd) { return TakesCursorMoves(fd) && Variable("NO_COLOR").empty(); }

bool UseUtf8Locale() {
  if (std::setlocale(LC_CTYPE, "") != nullptr && LocaleIsUtf8()) return true;
  return std::setlocale(LC_CTYPE, "C.UTF-8") != nullptr && LocaleIsUtf8();
}

}  // namespace sdar
