// SPDX-License-Identifier: Apache-2.0
#include "launcher/generate/answer_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr absl::Duration kSyncInterval = absl::Seconds(1);

std::string LastError() { return std::error_code(errno, std::generic_category()).message(); }

absl::Status CannotOpen(const std::string& path) {
  return absl::NotFoundError(absl::StrCat("--output: cannot create '", path, "': ", LastError()));
}

bool IsRegular(int fd) {
  struct stat status = {};
  return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

// True while `path` still names what `fd` has open: another run may have put a new file there
// between open and lock.
bool IsStillNamed(int fd, const std::string& path) {
  struct stat open_file = {};
  struct stat named = {};
  return fstat(fd, &open_file) == 0 && stat(path.c_str(), &named) == 0 &&
         open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

// File systems without locks go without.
bool IsLockedByAnother(int fd) { return flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK; }

// A rename survives the machine once its folder is on the disk. Some file systems cannot sync
// folders.
void SyncFolderOf(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const int fd = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

}  // namespace

absl::StatusOr<AnswerFile> AnswerFile::Open(const std::string& path) {
  if (path == "-") return AnswerFile("standard output", dup(STDOUT_FILENO), false);
  // The file that links lead to: rename must not replace a link.
  std::error_code error;
  const std::filesystem::path canonical = std::filesystem::weakly_canonical(path, error);
  const std::string real = error ? path : canonical.string();
  while (true) {
    const int fd = open(real.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) return CannotOpen(path);
    AnswerFile file(real, fd, IsRegular(fd));
    if (!file.is_regular_) return file;
    if (IsLockedByAnother(fd)) {
      return absl::FailedPreconditionError(
          absl::StrCat("--output: another run is writing '", path, "'"));
    }
    if (IsStillNamed(fd, real)) return file;
  }
}

AnswerFile::AnswerFile(AnswerFile&& other) noexcept { *this = std::move(other); }

AnswerFile& AnswerFile::operator=(AnswerFile&& other) noexcept {
  if (this == &other) return *this;
  Close();
  path_ = std::move(other.path_);
  fd_ = std::exchange(other.fd_, -1);
  is_regular_ = other.is_regular_;
  resumes_ = other.resumes_;
  found_ = std::move(other.found_);
  end_ = other.end_;
  is_synced_ = other.is_synced_;
  last_sync_ = other.last_sync_;
  return *this;
}

AnswerFile::~AnswerFile() { Close(); }

void AnswerFile::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

absl::Status AnswerFile::SystemError(const char* what) const {
  return absl::DataLossError(absl::StrCat("--output: ", path_, ": ", what, ": ", LastError()));
}

absl::Status AnswerFile::FindAnswered(std::vector<InputLine>& lines) {
  if (!is_regular_) {
    return absl::InvalidArgumentError(
        absl::StrCat("--resume: expected --output to be a regular file, got ", path_));
  }
  SDAR_ASSIGN_OR_RETURN(found_, FindAnswers(path_, lines));
  resumes_ = true;
  return absl::OkStatus();
}

absl::Status AnswerFile::Begin() {
  if (!is_regular_) return absl::OkStatus();
  end_ = resumes_ ? found_.end : 0;
  if (ftruncate(fd_, end_) != 0) return SystemError("cannot shorten it");
  if (!found_.errors.empty()) SDAR_RETURN_IF_ERROR(TakeErrorsOut());
  is_synced_ = false;
  SDAR_RETURN_IF_ERROR(Sync(SyncWhen::kNow));
  SyncFolderOf(path_);
  return absl::OkStatus();
}

// A new file takes the old one's place once it is whole and on the disk, and locked: a run that
// comes meanwhile finds the old one locked, or the new one.
absl::Status AnswerFile::TakeErrorsOut() {
  const std::string partial = path_ + ".partial";
  const int fd = open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return SystemError("cannot create its copy without error records");
  AnswerFile copy(partial, fd, true);
  absl::Cleanup remove = [&partial] { unlink(partial.c_str()); };
  struct stat status = {};
  if (fstat(fd_, &status) == 0 && fchmod(fd, status.st_mode & 07777) != 0) {
    return SystemError("cannot create its copy without error records");
  }
  IsLockedByAnother(fd);
  SDAR_RETURN_IF_ERROR(CopyAnswers(fd));
  if (fsync(fd) != 0) return SystemError("cannot write its copy without error records");
  if (rename(partial.c_str(), path_.c_str()) != 0) return SystemError("cannot be replaced");
  std::move(remove).Cancel();
  std::swap(fd_, copy.fd_);
  for (const ByteRange& error : found_.errors) end_ -= error.end - error.begin;
  return absl::OkStatus();
}

// Copies what lies between the error records.
absl::Status AnswerFile::CopyAnswers(int to) const {
  const int from = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (from < 0) return SystemError("cannot be read");
  const absl::Cleanup close_from = [from] { close(from); };
  std::vector<char> buffer(size_t{1} << 20);
  int64_t at = 0;
  for (size_t i = 0; i <= found_.errors.size(); ++i) {
    const bool is_last = i == found_.errors.size();
    const int64_t end = is_last ? found_.end : found_.errors[i].begin;
    while (at < end) {
      const auto wanted =
          static_cast<size_t>(std::min(end - at, static_cast<int64_t>(buffer.size())));
      const ssize_t count = pread(from, buffer.data(), wanted, at);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return SystemError("cannot be read");
      if (count == 0) return absl::DataLossError(absl::StrCat("--output: ", path_, " has shrunk"));
      SDAR_RETURN_IF_ERROR(WriteAll(to, {buffer.data(), static_cast<size_t>(count)}));
      at += count;
    }
    if (!is_last) at = found_.errors[i].end;
  }
  return absl::OkStatus();
}

absl::Status AnswerFile::WriteAll(int fd, absl::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count >= 0) {
      bytes.remove_prefix(static_cast<size_t>(count));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {  // a pipe that somebody set so
      pollfd writable = {fd, POLLOUT, 0};
      poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      return SystemError("cannot write");
    }
  }
  return absl::OkStatus();
}

absl::Status AnswerFile::Append(absl::string_view records) {
  absl::Status status = WriteAll(fd_, records);
  if (!is_regular_) return status;
  if (status.ok()) {
    end_ += static_cast<int64_t>(records.size());
    is_synced_ = false;
    return status;
  }
  const bool is_cut = ftruncate(fd_, end_) == 0;
  return absl::DataLossError(absl::StrCat(
      status.message(), "; ", is_cut ? "whole answers are kept" : "its last answer is unfinished",
      ", and --resume goes on from there"));
}

absl::Status AnswerFile::Sync(SyncWhen when) {
  if (!is_regular_ || is_synced_) return absl::OkStatus();
  const SteadyTime now = SteadyTime::Now();
  if (when == SyncWhen::kNowAndThen && now - last_sync_ < kSyncInterval) return absl::OkStatus();
  if (fdatasync(fd_) != 0 && errno != EINVAL) return SystemError("cannot sync");
  is_synced_ = true;
  last_sync_ = now;
  return absl::OkStatus();
}

}  // namespace sdar
