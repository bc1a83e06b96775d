// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/safetensors_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include <fcntl.h>
#include <unistd.h>

#include "common/json.h"
#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr size_t kHeaderAlignment = 8;

absl::Status SystemError(const std::string& path, const char* what) {
  const std::error_code error(errno, std::generic_category());
  return absl::InternalError(absl::StrCat(path, ": ", what, ": ", error.message()));
}

// Bytes of the tensor; InvalidArgument when the shape is no shape or together with `before` too
// large.
absl::StatusOr<uint64_t> DeclaredBytes(const TensorDeclaration& tensor, uint64_t before) {
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  auto size = static_cast<uint64_t>(SizeOf(tensor.dtype));
  for (int64_t dimension : tensor.shape) {
    if (dimension < 0 || (dimension > 0 && size > kMax / static_cast<uint64_t>(dimension))) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", Quoted(tensor.name), ": shape ",
                                                     ShapeText(tensor.shape),
                                                     " is negative or too large"));
    }
    size *= static_cast<uint64_t>(dimension);
  }
  if (size > kMax - before) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", Quoted(tensor.name), ": the file would be too large"));
  }
  return size;
}

struct WrittenHeader {
  std::string bytes;  // with the length before it
  uint64_t data_bytes = 0;
};

absl::StatusOr<WrittenHeader> MakeHeader(absl::Span<const TensorDeclaration> tensors,
                                         const std::map<std::string, std::string>& metadata) {
  Json::object_t members;  // appended directly: insertion by name looks at all members
  if (!metadata.empty()) members.push_back({"__metadata__", Json(metadata)});
  std::set<absl::string_view> names;
  WrittenHeader header;
  for (const TensorDeclaration& tensor : tensors) {
    if (!names.insert(tensor.name).second || tensor.name == "__metadata__") {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", Quoted(tensor.name), ": the name is taken"));
    }
    SDAR_ASSIGN_OR_RETURN(const uint64_t size, DeclaredBytes(tensor, header.data_bytes));
    Json fields;
    fields["dtype"] = std::string(Name(tensor.dtype));
    fields["shape"] = tensor.shape;
    fields["data_offsets"] = {header.data_bytes, header.data_bytes + size};
    members.push_back({tensor.name, std::move(fields)});
    header.data_bytes += size;
  }
  std::string text = DumpJson(Json(std::move(members)));
  text.resize((text.size() + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment, ' ');
  const uint64_t length = text.size();
  for (int i = 0; i < 8; ++i) header.bytes.push_back(static_cast<char>((length >> (8 * i)) & 0xFF));
  header.bytes += text;
  return header;
}

absl::Status SyncFolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return SystemError(folder, "cannot open");
  // Some file systems cannot sync folders; the rename is still atomic there.
  fsync(fd);
  close(fd);
  return absl::OkStatus();
}

absl::StatusOr<int> CreateFile(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return SystemError(path, "cannot create");
  return fd;
}

}  // namespace

absl::StatusOr<SafetensorsWriter> SafetensorsWriter::Create(
    const std::string& path, absl::Span<const TensorDeclaration> tensors,
    const std::map<std::string, std::string>& metadata) {
  SDAR_ASSIGN_OR_RETURN(const WrittenHeader header, MakeHeader(tensors, metadata));
  SDAR_ASSIGN_OR_RETURN(const int fd, CreateFile(path + ".partial"));
  SafetensorsWriter writer(path, fd, header.data_bytes);
  SDAR_RETURN_IF_ERROR(writer.WriteAll(reinterpret_cast<const std::byte*>(header.bytes.data()),
                                       header.bytes.size()));
  return writer;
}

SafetensorsWriter::SafetensorsWriter(std::string path, int fd, uint64_t data_bytes)
    : path_(std::move(path)), fd_(fd), bytes_left_(data_bytes) {}

SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      bytes_left_(other.bytes_left_) {}

SafetensorsWriter::~SafetensorsWriter() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(PartialPath().c_str());
}

absl::Status SafetensorsWriter::WriteAll(const std::byte* data, size_t size) {
  while (size > 0) {
    const ssize_t written = write(fd_, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError(PartialPath(), "cannot write");
    data += written;
    size -= static_cast<size_t>(written);
  }
  return absl::OkStatus();
}

absl::Status SafetensorsWriter::Append(absl::Span<const std::byte> bytes) {
  if (bytes.size() > bytes_left_) {
    return absl::OutOfRangeError(absl::StrCat(path_, ": expected at most ", bytes_left_,
                                              " more bytes of tensors, got ", bytes.size()));
  }
  SDAR_RETURN_IF_ERROR(WriteAll(bytes.data(), bytes.size()));
  bytes_left_ -= bytes.size();
  return absl::OkStatus();
}

absl::Status SafetensorsWriter::Finish() {
  if (fd_ < 0 || bytes_left_ > 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, ": ", bytes_left_, " bytes of tensors were not written"));
  }
  if (fsync(fd_) != 0) return SystemError(PartialPath(), "cannot sync");
  if (std::rename(PartialPath().c_str(), path_.c_str()) != 0) {
    return SystemError(path_, "cannot rename to");
  }
  close(std::exchange(fd_, -1));
  return SyncFolderOf(path_);
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view content) {
  const std::string partial = path + ".partial";
  SDAR_ASSIGN_OR_RETURN(const int fd, CreateFile(partial));
  const char* data = content.data();
  size_t left = content.size();
  bool ok = true;
  while (ok && left > 0) {
    const ssize_t written = write(fd, data, left);
    ok = written >= 0 || errno == EINTR;
    if (written > 0) {
      data += written;
      left -= static_cast<size_t>(written);
    }
  }
  ok = ok && fsync(fd) == 0 && std::rename(partial.c_str(), path.c_str()) == 0;
  const absl::Status status = ok ? absl::OkStatus() : SystemError(path, "cannot write");
  close(fd);
  if (!ok) unlink(partial.c_str());
  return ok ? SyncFolderOf(path) : status;
}

}  // namespace sdar
