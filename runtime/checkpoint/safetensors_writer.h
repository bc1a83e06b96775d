// SPDX-License-Identifier: Apache-2.0
// Writes safetensors files as a stream: what is in them first, then the bytes in that order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "runtime/checkpoint/safetensors.h"

namespace sdar {

// A tensor that will be written.
struct TensorDeclaration {
  std::string name;
  StoredDType dtype = StoredDType::kBF16;
  std::vector<int64_t> shape;
};

// Usage:
//   SDAR_ASSIGN_OR_RETURN(auto writer, SafetensorsWriter::Create(path, {{"x", dtype, {2, 3}}}));
//   SDAR_RETURN_IF_ERROR(writer.Append(bytes_of_x));
//   SDAR_RETURN_IF_ERROR(writer.Finish());
// The file appears under its name only in Finish, whole and synced; until then it is PATH.partial,
// which the destructor removes. One thread at a time.
class SafetensorsWriter {
 public:
  // Writes the header. InvalidArgument: a name twice, a negative or too large shape; the system's
  // errors name the path. `metadata` becomes __metadata__.
  static absl::StatusOr<SafetensorsWriter> Create(
      const std::string& path, absl::Span<const TensorDeclaration> tensors,
      const std::map<std::string, std::string>& metadata = {});

  SafetensorsWriter(SafetensorsWriter&& other) noexcept;
  SafetensorsWriter& operator=(SafetensorsWriter&&) = delete;
  ~SafetensorsWriter();

  // The next bytes of the data, little-endian, tensors in declared order; any number per call, also
  // across tensors. OutOfRange beyond the declared size.
  absl::Status Append(absl::Span<const std::byte> bytes);

  // Syncs and renames. FailedPrecondition when bytes are missing. Call once, last.
  absl::Status Finish();

  uint64_t bytes_left() const { return bytes_left_; }

 private:
  SafetensorsWriter(std::string path, int fd, uint64_t data_bytes);

  absl::Status WriteAll(const std::byte* data, size_t size);
  std::string PartialPath() const { return path_ + ".partial"; }

  std::string path_;
  int fd_ = -1;  // -1: finished or moved from
  uint64_t bytes_left_ = 0;
};

// Writes a small file the same way: PATH.partial, synced, renamed.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view content);

}  // namespace sdar
