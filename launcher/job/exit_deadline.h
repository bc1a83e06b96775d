// SPDX-License-Identifier: Apache-2.0
// A bound on how long a process may take to end.
#pragma once

#include <string>

#include "absl/time/time.h"

namespace sdar {

// Ends the process with `exit_code` and one line on standard error, unless it has ended by itself
// within `timeout`. What blocks it meanwhile (a destructor, a collective, a step) does not matter.
// Cannot be taken back; the first deadline to pass ends the process. Any thread; does not block.
void ExitWithin(absl::Duration timeout, const std::string& reason, int exit_code);

}  // namespace sdar
