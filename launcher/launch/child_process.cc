// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/child_process.h"

#include <cerrno>
#include <csignal>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sdar {
namespace {

// In the child, between fork and exec: only calls that are safe there. Writes errno to `report` and
// ends where exec fails.
[[noreturn]] void Become(char* const* argv, char* const* environment, pid_t parent, int report,
                         int error_output) {
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
  execvpe(argv[0], argv, environment);
  const int error = errno;
  if (write(report, &error, sizeof(error)) < 0) _exit(126);
  _exit(127);
}

// This process's, with `library` ahead of the libraries that it names.
std::vector<std::string> EnvironmentWith(const std::string& library) {
  constexpr absl::string_view kPreload = "LD_PRELOAD=";
  std::vector<std::string> out;
  std::string preload = library;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (library.empty() || !absl::StartsWith(*variable, kPreload)) {
      out.emplace_back(*variable);
    } else if (const absl::string_view rest = *variable + kPreload.size(); !rest.empty()) {
      absl::StrAppend(&preload, ":", rest);
    }
  }
  if (!library.empty()) out.push_back(absl::StrCat(kPreload, preload));
  return out;
}

// As exec takes them; they live as long as `words`.
std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

absl::StatusOr<ChildProcess> ChildProcess::Start(const std::vector<std::string>& line,
                                                 int error_output, const std::string& library) {
  std::vector<std::string> words = line;
  std::vector<std::string> variables = EnvironmentWith(library);
  const std::vector<char*> argv = Pointers(words);
  const std::vector<char*> environment = Pointers(variables);
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) {
    return absl::InternalError(absl::StrCat("pipe: ", std::strerror(errno)));
  }
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) Become(argv.data(), environment.data(), parent, report[1], error_output);
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
