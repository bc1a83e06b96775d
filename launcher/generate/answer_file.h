// SPDX-License-Identifier: Apache-2.0
// The output of sdar-generate: answers that outlive whatever ends the program.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/steady_time.h"
#include "launcher/generate/answer_scan.h"
#include "launcher/generate/input_lines.h"

namespace sdar {

// Holds a lock on the file, so that no other run writes it. One thread; everything blocks.
class AnswerFile {
 public:
  // Opens or creates `path`, or takes standard output for "-", and changes nothing in it.
  // NotFound: it cannot be opened. FailedPrecondition: another run writes it.
  static absl::StatusOr<AnswerFile> Open(const std::string& path);

  AnswerFile(AnswerFile&& other) noexcept;
  AnswerFile& operator=(AnswerFile&& other) noexcept;
  ~AnswerFile();

  // Reads what an earlier run left and marks the lines that it answers. FindAnswers' errors;
  // InvalidArgument when it is not a regular file. Changes nothing in the file.
  absl::Status FindAnswered(std::vector<InputLine>& lines);

  // Makes the file ready for Append: empties it, or, after FindAnswered, cuts off an unfinished
  // answer and takes error records out. Whole answers are there at every moment. DataLoss says
  // what failed.
  absl::Status Begin();

  // Writes all records of a line after what is there. An answer is acknowledged when this
  // returns OK: it outlives the program then. After DataLoss (a full disk) the file ends where it
  // ended before, as far as the system allows.
  absl::Status Append(absl::string_view records);

  // Makes acknowledged answers outlive the machine, too, by writing them through to the disk.
  // kNowAndThen leaves it to a later call where the last one was less than a second ago. DataLoss
  // when it fails.
  enum class SyncWhen { kNow, kNowAndThen };
  absl::Status Sync(SyncWhen when);

 private:
  AnswerFile(std::string path, int fd, bool is_regular)
      : path_(std::move(path)), fd_(fd), is_regular_(is_regular) {}

  absl::Status WriteAll(int fd, absl::string_view bytes) const;
  absl::Status TakeErrorsOut();
  absl::Status CopyAnswers(int to) const;
  absl::Status SystemError(const char* what) const;
  void Close();

  std::string path_;
  int fd_ = -1;  // -1: moved from
  bool is_regular_ = false;
  bool resumes_ = false;
  FoundAnswers found_;
  int64_t end_ = 0;  // of the acknowledged answers
  bool is_synced_ = true;
  SteadyTime last_sync_;
};

}  // namespace sdar
