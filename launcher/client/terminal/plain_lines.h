// SPDX-License-Identifier: Apache-2.0
// Messages a line each, without editing: from a pipe, or from a terminal that cannot do more.
#pragma once

#include <ostream>
#include <string>

#include "launcher/client/terminal/line_reader.h"
#include "launcher/client/terminal/terminal_input.h"

namespace sdar {

class PlainLines final : public LineReader {
 public:
  // `echoes`: shows prompt and line when it has read one, where no terminal shows what is typed.
  // `interrupts` and `out` must outlive it.
  PlainLines(int fd, bool echoes, Interrupts& interrupts, std::ostream& out)
      : input_(fd, interrupts), interrupts_(interrupts), echoes_(echoes), out_(out) {}

  InputLine Next() override;
  void Remember(const std::string&) override {}

 private:
  InputLine Read();

  TerminalInput input_;
  Interrupts& interrupts_;
  const bool echoes_;
  std::ostream& out_;
};

}  // namespace sdar
