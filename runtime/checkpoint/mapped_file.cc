// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/mapped_file.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sdar {
namespace {

std::string LastError() { return std::error_code(errno, std::generic_category()).message(); }

}  // namespace

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::NotFoundError(absl::StrCat(path, ": ", LastError()));
  MappedFile file(path, fd);
  struct stat status = {};
  if (fstat(fd, &status) != 0) return absl::NotFoundError(absl::StrCat(path, ": ", LastError()));
  if (!S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": expected a regular file"));
  }
  file.written_ = status.st_mtim;
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return file;
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, ": cannot map ", size, " bytes: ", LastError()));
  }
  file.data_ = static_cast<const std::byte*>(data);
  file.size_ = size;
  file.guard_ = std::make_unique<FaultGuard>(data, size);
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this == &other) return *this;
  Close();
  path_ = std::move(other.path_);
  fd_ = std::exchange(other.fd_, -1);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  written_ = other.written_;
  guard_ = std::move(other.guard_);
  return *this;
}

MappedFile::~MappedFile() { Close(); }

void MappedFile::Close() {
  guard_.reset();
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
  if (fd_ >= 0) close(fd_);
}

absl::Status MappedFile::CheckUnchanged() const {
  struct stat now = {};
  if (fstat(fd_, &now) != 0) return absl::DataLossError(absl::StrCat(path_, ": ", LastError()));
  const auto size = static_cast<size_t>(now.st_size);
  if (size != size_) {
    return absl::DataLossError(absl::StrCat(path_, ": expected ", size_, " bytes, but it has ",
                                            size, " now: it was changed while it was loaded"));
  }
  if (now.st_mtim.tv_sec != written_.tv_sec || now.st_mtim.tv_nsec != written_.tv_nsec) {
    return absl::DataLossError(absl::StrCat(path_, ": it was written while it was loaded"));
  }
  if (guard_ != nullptr && guard_->has_faulted()) {
    return absl::DataLossError(
        absl::StrCat(path_,
                     ": a part of it cannot be read (the disk fails, or it was changed while "
                     "it was loaded)"));
  }
  return absl::OkStatus();
}

}  // namespace sdar
