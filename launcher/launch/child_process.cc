// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/child_process.h"

#include <cerrno>
#include <csignal>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sdar {
namespace {

// In the child, between fork and exec: only calls that are safe there. Writes errno to `report` and
// ends where exec fails.
[[noreturn]] void Become(char** argv, pid_t parent, int report, int error_output) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(127);  // it died before prctl
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);  // what is ignored here would be ignored there
  const int input = open("/dev/null", O_RDONLY);
  if (input >= 0) dup2(input, STDIN_FILENO);
  if (error_output >= 0) dup2(error_output, STDERR_FILENO);
  execvp(argv[0], argv);
  const int error = errno;
  if (write(report, &error, sizeof(error)) < 0) _exit(126);
  _exit(127);
}

}  // namespace

absl::StatusOr<ChildProcess> ChildProcess::Start(const std::vector<std::string>& line,
                                                 int error_output) {
  std::vector<std::string> words = line;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) {
    return absl::InternalError(absl::StrCat("pipe: ", std::strerror(errno)));
  }
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) Become(argv.data(), parent, report[1], error_output);
  close(report[1]);
  int error = pid < 0 ? errno : 0;
  const bool failed = pid < 0 || read(report[0], &error, sizeof(error)) > 0;
  close(report[0]);
  if (!failed) return ChildProcess(pid);
  if (pid > 0) waitpid(pid, nullptr, 0);
  return absl::NotFoundError(absl::StrCat("cannot run ", line[0], ": ", std::strerror(error)));
}

void ChildProcess::Signal(int signal) const { kill(pid_, signal); }

void ChildProcess::KillGroup() const { kill(-pid_, SIGKILL); }

std::optional<int> ChildProcess::Reap() const {
  std::optional<int> code;
  int status = 0;
  for (pid_t ended = waitpid(-1, &status, WNOHANG); ended > 0;
       ended = waitpid(-1, &status, WNOHANG)) {
    if (ended == pid_) code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return code;
}

}  // namespace sdar
