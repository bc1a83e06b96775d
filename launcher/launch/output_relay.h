// SPDX-License-Identifier: Apache-2.0
// What a job prints to standard error, as lines of this program's log.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sdar {

// Cuts what is printed into lines and logs them: lines that are in the log's own form as they are,
// other ones as warnings. Empty lines are left out. One thread.
class OutputLines {
 public:
  // program: whose last words are remembered.
  explicit OutputLines(const std::string& program) : prefix_(program + ": ") {}
  void Add(absl::string_view bytes);
  // Logs what has come of a line without an end.
  void End();
  // The last line of the form "PROGRAM: ...", which a program ends with when it cannot run; empty
  // without one.
  const std::string& last_words() const { return last_words_; }

 private:
  const std::string prefix_;
  std::string line_;  // the start of one
  std::string last_words_;
};

// A pipe and the thread that reads it. The log takes lines without blocking, so that the job never
// waits for who reads the log.
class OutputRelay {
 public:
  // Internal when there is no pipe or no thread.
  // program: as of OutputLines.
  static absl::StatusOr<std::unique_ptr<OutputRelay>> Start(const std::string& program);
  ~OutputRelay();
  OutputRelay(const OutputRelay&) = delete;
  OutputRelay& operator=(const OutputRelay&) = delete;

  // What the job's standard error is to be. Closes on exec.
  int writer() const { return writer_; }
  // Call it once the job has its copy.
  void CloseWriter();
  // Call it after the job's end: it logs what is in the pipe and does not wait for more, although
  // processes that outlive the job may hold the pipe open. Returns the program's last words.
  const std::string& Finish();

 private:
  OutputRelay(int reader, int writer, int stop, const std::string& program)
      : reader_(reader), writer_(writer), stop_(stop), lines_(program) {}
  void Relay();

  const int reader_;
  int writer_;
  const int stop_;     // an eventfd: readable once the job has ended
  OutputLines lines_;  // the thread's, until it has ended
  std::thread thread_;
};

}  // namespace sdar
