// SPDX-License-Identifier: Apache-2.0
// Real programs run by tests, alone or under mpirun, with nothing left behind.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sdar {

// A folder that goes away with the test.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "sdar-test-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

inline void WriteText(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

// The command line of a program on `ranks` ranks; one rank runs without mpirun.
inline std::vector<std::string> OnRanks(int ranks, const std::string& program,
                                        const std::vector<std::string>& arguments) {
  std::vector<std::string> command;
  if (ranks > 1) {
    command = {"mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none",
               "-n",     std::to_string(ranks)};
  }
  command.push_back(std::string(SDAR_BIN_DIR) + "/" + program);
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

// A running child with its own process group; standard output and error go to files.
class Process {
 public:
  Process(const std::vector<std::string>& command, const std::string& out, const std::string& err) {
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      setpgid(0, 0);
      dup2(open("/dev/null", O_RDONLY), 0);
      dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
      dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
      execvp(argv[0], argv.data());
      _exit(127);
    }
  }
  ~Process() {
    if (pid_ <= 0) return;
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void Signal(int signal) const { kill(pid_, signal); }
  pid_t pid() const { return pid_; }

  // The exit code (128 + signal for a killed one); -1 when it has not ended within `seconds`.
  int Wait(double seconds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (std::chrono::steady_clock::now() < deadline) {
      int status = 0;
      if (waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return -1;
  }

 private:
  pid_t pid_ = -1;
};

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

// Runs a command to its end.
inline Outcome RunProcess(const std::vector<std::string>& command, double seconds = 120) {
  ScratchFolder folder;
  Outcome outcome;
  Process process(command, folder.File("out"), folder.File("err"));
  outcome.exit_code = process.Wait(seconds);
  outcome.out = ReadText(folder.File("out"));
  outcome.err = ReadText(folder.File("err"));
  return outcome;
}

// Processes whose command line holds `word`, by OMPI rank (-1 where they are none).
struct FoundProcess {
  pid_t pid;
  int rank;
};
inline std::vector<FoundProcess> FindProcesses(const std::string& word) {
  std::vector<FoundProcess> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (ReadText(entry.path().string() + "/cmdline").find(word) == std::string::npos) continue;
    const std::string environment = ReadText(entry.path().string() + "/environ");
    const std::string key = "OMPI_COMM_WORLD_RANK=";
    const size_t at = environment.find(key);
    const int rank =
        at == std::string::npos ? -1 : std::atoi(environment.c_str() + at + key.size());
    if (!environment.empty()) found.push_back({std::atoi(name.c_str()), rank});
  }
  return found;
}

// Waits until no process's command line holds `word`.
inline bool AllGone(const std::string& word, double seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!FindProcesses(word).empty()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace sdar
