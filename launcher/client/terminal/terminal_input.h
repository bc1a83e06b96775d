// SPDX-License-Identifier: Apache-2.0
// Characters from a terminal or a pipe, and signals between them.
#pragma once

#include <string>

#include "launcher/client/terminal/interrupts.h"

namespace sdar {

class TerminalInput {
 public:
  enum class Event { kCharacter, kSignal, kEnd };

  // `interrupts` must outlive it.
  TerminalInput(int fd, Interrupts& interrupts) : fd_(fd), interrupts_(interrupts) {}

  // Waits for one of the three. kCharacter: it is in `character`, U+FFFD for what is no UTF-8.
  // kSignal: `interrupts` has events to take.
  Event Next(char32_t& character);

 private:
  Event Fill();

  const int fd_;
  Interrupts& interrupts_;
  std::string held_;  // read and not yet given out
  size_t begin_ = 0;  // of what is left of it
};

}  // namespace sdar
