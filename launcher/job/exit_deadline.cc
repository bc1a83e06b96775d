// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/exit_deadline.h"

#include <cstdlib>
#include <thread>

#include "absl/strings/str_cat.h"
#include <poll.h>
#include <unistd.h>

namespace sdar {
namespace {

// Writes where that does not block: whoever reads standard error may be what is stuck.
void Say(const std::string& line) {
  pollfd entry = {STDERR_FILENO, POLLOUT, 0};
  if (poll(&entry, 1, 0) != 1) return;
  if (write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

}  // namespace

void ExitWithin(absl::Duration timeout, const std::string& reason, int exit_code) {
  std::thread([timeout, exit_code,
               line = absl::StrCat(reason, ": still here after ", absl::FormatDuration(timeout),
                                   "; leaving without waiting any longer\n")] {
    std::this_thread::sleep_for(absl::ToChronoNanoseconds(timeout));
    Say(line);
    std::_Exit(exit_code);
  }).detach();
}

}  // namespace sdar
