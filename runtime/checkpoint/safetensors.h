// SPDX-License-Identifier: Apache-2.0
// Reads the safetensors format: a length, a JSON header and the tensors' bytes.
// Source: github.com/huggingface/safetensors, README.md, "Format".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/dtype.h"
#include "runtime/checkpoint/mapped_file.h"

namespace sdar {

// Element types of the format, whole bytes only; the runtime computes with three of them.
enum class StoredDType {
  kBool,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kF64,
  kI64,
  kU64,
};

// The format's name: "BF16", "F32", "I64", ...
absl::string_view Name(StoredDType dtype);

// Bytes of one element.
int64_t SizeOf(StoredDType dtype);

// The arithmetic's dtype, where there is one.
std::optional<DType> ToDType(StoredDType dtype);
StoredDType ToStored(DType dtype);

// "[2, 64]".
std::string ShapeText(absl::Span<const int64_t> shape);

// A name from outside as errors show it: quoted, control characters escaped, cut when long.
std::string Quoted(absl::string_view name);

// One tensor as the header describes it. Offsets are bytes from the start of the data; they are
// within the file and hold exactly the shape's elements. Data need not be aligned to its elements.
struct StoredTensor {
  std::string name;
  StoredDType dtype = StoredDType::kF32;
  std::vector<int64_t> shape;
  uint64_t begin = 0;
  uint64_t end = 0;

  uint64_t size_bytes() const { return end - begin; }
};

struct SafetensorsHeader {
  std::vector<StoredTensor> tensors;  // ascending by name, no name twice
  uint64_t data_offset = 0;           // where the data starts in the file
};

// Longest header that is read, the limit of the reference implementation.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;

// Parses the header of a whole file in memory; `source` begins every error. InvalidArgument names
// the tensor, what was expected and what was there: a length beyond the file or the limit, text
// that is not such JSON, a name twice, an unknown dtype, a shape that is negative, too large or not
// the size of its data, data beyond the end of the file (a truncated file), data that two tensors
// share. Holes between tensors are accepted.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::Span<const std::byte> file,
                                                         absl::string_view source);

// A mapped safetensors file. Opening reads the header only.
class SafetensorsFile {
 public:
  // Errors of MappedFile::Open and ParseSafetensorsHeader; all name the path.
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);

  const std::string& path() const { return file_.path(); }
  absl::Span<const StoredTensor> tensors() const { return header_.tensors; }
  // Null when there is none of that name.
  const StoredTensor* Find(absl::string_view name) const;
  // The bytes of one of tensors(), any alignment; valid as long as this object or what it is moved
  // to.
  absl::Span<const std::byte> Bytes(const StoredTensor& tensor) const;
  // MappedFile's: whether those bytes were the file's.
  absl::Status CheckUnchanged() const { return file_.CheckUnchanged(); }

 private:
  SafetensorsFile(MappedFile file, SafetensorsHeader header);

  MappedFile file_;
  SafetensorsHeader header_;
};

}  // namespace sdar
