// SPDX-License-Identifier: Apache-2.0
// One run of a command.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include <sys/types.h>

namespace sdar {

// Starts and signals a process; the owner reaps it (Reap), for it may be process 1 and then reaps
// orphans as well.
class ChildProcess {
 public:
  // Starts `line` in a process group of its own, with nothing on standard input and all signals as
  // they are by default. It gets SIGTERM when this process dies. Its standard error is a copy of
  // `error_output`, and this process's when that is negative. `library`, a path, comes first
  // in its LD_PRELOAD; empty: no change. NotFound when there is no such program.
  static absl::StatusOr<ChildProcess> Start(const std::vector<std::string>& line, int error_output,
                                            const std::string& library);

  void Signal(int signal) const;
  // Kills the process and all that it started on this machine.
  void KillGroup() const;
  // Takes the exit status of every process that has ended; this one's exit code (128 + signal where
  // one ended it) once it has.
  std::optional<int> Reap() const;

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

}  // namespace sdar
