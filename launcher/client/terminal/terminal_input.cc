// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal/terminal_input.h"

#include <cerrno>

#include "absl/strings/string_view.h"
#include <poll.h>
#include <unistd.h>

#include "common/utf8.h"

namespace sdar {

TerminalInput::Event TerminalInput::Next(char32_t& character) {
  bool ended = false;
  while (true) {
    if (begin_ < held_.size()) {
      const Utf8Step step = ReadUtf8(held_, begin_);
      if (!step.truncated || ended) {
        begin_ += step.length;
        character = step.valid ? step.code_point : kReplacementCharacter;
        return Event::kCharacter;
      }
    } else if (ended) {
      return Event::kEnd;
    }
    const Event event = Fill();
    if (event == Event::kSignal) return event;
    ended = event == Event::kEnd;
  }
}

// kCharacter: there are more bytes.
TerminalInput::Event TerminalInput::Fill() {
  held_.erase(0, begin_);
  begin_ = 0;
  while (true) {
    pollfd watched[] = {{fd_, POLLIN, 0}, {interrupts_.event_fd(), POLLIN, 0}};
    if (poll(watched, 2, -1) < 0 && errno != EINTR) return Event::kEnd;
    if ((watched[1].revents & POLLIN) != 0) return Event::kSignal;
    if (watched[0].revents == 0) continue;
    char bytes[4096];
    const ssize_t count = read(fd_, bytes, sizeof(bytes));
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0) return Event::kEnd;
    held_.append(bytes, static_cast<size_t>(count));
    return Event::kCharacter;
  }
}

}  // namespace sdar
