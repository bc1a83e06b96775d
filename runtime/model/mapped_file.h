// SPDX-License-Identifier: Apache-2.0
// A file mapped into memory for reading.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace sdar {

// Owns a private, read-only mapping of a whole file. Pages are read when they are first touched, so
// that a rank reads only its own shard. A file must not shrink while it is mapped: touching a page
// beyond its new end ends the process. Safe to read from any thread.
class MappedFile {
 public:
  // NotFound when the file cannot be opened; InvalidArgument when it is not a regular file.
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  absl::Span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, const std::byte* data, size_t size);
  void Unmap();

  std::string path_;
  const std::byte* data_ = nullptr;  // null when the file is empty
  size_t size_ = 0;
};

}  // namespace sdar
