// SPDX-License-Identifier: Apache-2.0
// What the terminal at a file descriptor can show.
#pragma once

namespace sdar {

struct TerminalSize {
  int columns = 80;
  int rows = 24;
};

// As the terminal is now; the defaults where it does not say.
TerminalSize SizeOfTerminal(int fd);

// It is a terminal, and TERM names one that is not "dumb".
bool TakesCursorMoves(int fd);

// Also colours: NO_COLOR (https://no-color.org) is absent or empty.
bool TakesStyles(int fd);

// Characters of the C library become UTF-8: the environment's locale where it is one of UTF-8, else
// C.UTF-8. False where the system has neither. Requires: before other threads start.
bool UseUtf8Locale();

}  // namespace sdar
