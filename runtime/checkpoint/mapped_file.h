// SPDX-License-Identifier: Apache-2.0
// A file mapped into memory for reading.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include <sys/types.h>
#include <time.h>

#include "runtime/checkpoint/fault_guard.h"

namespace sdar {

// Owns a private, read-only mapping of a whole file. Pages are read when they are first touched, so
// that a rank reads only its own shard, and nothing is copied on the way. A page that cannot be
// read is zeros: ask CheckUnchanged after what was read is used. Safe to read from any thread.
class MappedFile {
 public:
  // NotFound when the file cannot be opened; InvalidArgument when it is not a regular file.
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  absl::Span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  // OK when what has been read so far was the file as it was opened. DataLoss names the path: a
  // part could not be read, or the file is another size now or was written. Any thread.
  absl::Status CheckUnchanged() const;

 private:
  MappedFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  void Close();

  std::string path_;
  int fd_ = -1;                      // -1: moved from
  const std::byte* data_ = nullptr;  // null when the file is empty
  size_t size_ = 0;
  timespec written_ = {};              // when the file was last written before it was opened
  std::unique_ptr<FaultGuard> guard_;  // null when the file is empty
};

}  // namespace sdar
