// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "common/json.h"
#include "common/status_macros.h"
#include "runtime/checkpoint/pointer_files.h"

namespace sdar {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr int kMaxHeaderDepth = 4;  // header, tensor, list, and one to spare
constexpr size_t kMaxDimensions = 16;
constexpr char kMetadataKey[] = "__metadata__";

struct DTypeEntry {
  StoredDType dtype;
  const char* name;
  int64_t size;
};

constexpr std::array<DTypeEntry, 15> kDTypes = {{
    {StoredDType::kBool, "BOOL", 1},
    {StoredDType::kU8, "U8", 1},
    {StoredDType::kI8, "I8", 1},
    {StoredDType::kF8E5M2, "F8_E5M2", 1},
    {StoredDType::kF8E4M3, "F8_E4M3", 1},
    {StoredDType::kI16, "I16", 2},
    {StoredDType::kU16, "U16", 2},
    {StoredDType::kF16, "F16", 2},
    {StoredDType::kBF16, "BF16", 2},
    {StoredDType::kI32, "I32", 4},
    {StoredDType::kU32, "U32", 4},
    {StoredDType::kF32, "F32", 4},
    {StoredDType::kF64, "F64", 8},
    {StoredDType::kI64, "I64", 8},
    {StoredDType::kU64, "U64", 8},
}};

const DTypeEntry& EntryOf(StoredDType dtype) { return kDTypes[static_cast<size_t>(dtype)]; }

// What a header is parsed against: where errors come from and how much data the file holds.
struct Context {
  absl::string_view source;
  uint64_t data_bytes = 0;

  template <typename... Args>
  absl::Status Error(absl::string_view tensor, const Args&... args) const {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": tensor ", Quoted(tensor), ": ", args...));
  }
};

// The value as a non-negative integer below 2^63.
std::optional<int64_t> AsCount(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto number = value.get<uint64_t>();
  if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return static_cast<int64_t>(number);
}

const Json* Member(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() ? nullptr : &*it;
}

absl::StatusOr<StoredDType> ParseStoredDType(const Context& context, absl::string_view tensor,
                                             const Json* value) {
  if (value == nullptr || !value->is_string()) {
    return context.Error(tensor, "expected a string 'dtype'");
  }
  const auto& name = value->get_ref<const std::string&>();
  for (const DTypeEntry& entry : kDTypes) {
    if (name == entry.name) return entry.dtype;
  }
  return context.Error(tensor, "dtype ", Quoted(name), " is not one of this format's");
}

absl::StatusOr<std::vector<int64_t>> ParseShape(const Context& context, absl::string_view tensor,
                                                const Json* value) {
  if (value == nullptr || !value->is_array() || value->size() > kMaxDimensions) {
    return context.Error(tensor, "expected a list 'shape' of at most ", kMaxDimensions, " sizes");
  }
  std::vector<int64_t> shape;
  for (const Json& element : *value) {
    const std::optional<int64_t> size = AsCount(element);
    if (!size) return context.Error(tensor, "shape: expected sizes of 0 or more");
    shape.push_back(*size);
  }
  return shape;
}

absl::Status ParseOffsets(const Context& context, const Json* value, StoredTensor& tensor) {
  std::optional<int64_t> begin;
  std::optional<int64_t> end;
  if (value != nullptr && value->is_array() && value->size() == 2) {
    begin = AsCount((*value)[0]);
    end = AsCount((*value)[1]);
  }
  if (!begin || !end) {
    return context.Error(tensor.name, "expected 'data_offsets' [begin, end]");
  }
  if (*begin > *end) {
    return context.Error(tensor.name, "data_offsets: begin ", *begin, " is after end ", *end);
  }
  tensor.begin = static_cast<uint64_t>(*begin);
  tensor.end = static_cast<uint64_t>(*end);
  if (tensor.end > context.data_bytes) {
    return context.Error(tensor.name, "its data ends at byte ", tensor.end, " but the file holds ",
                         context.data_bytes, " bytes of data; is it truncated?");
  }
  return absl::OkStatus();
}

// Bytes of a tensor of this shape; empty when they do not fit in int64.
std::optional<uint64_t> SizeInBytes(const StoredTensor& tensor) {
  uint64_t size = static_cast<uint64_t>(SizeOf(tensor.dtype));
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  for (int64_t dimension : tensor.shape) {
    if (dimension == 0) return 0;
  }
  for (int64_t dimension : tensor.shape) {
    if (static_cast<uint64_t>(dimension) > kMax / size) return std::nullopt;
    size *= static_cast<uint64_t>(dimension);
  }
  return size;
}

absl::StatusOr<StoredTensor> ParseTensor(const Context& context, const std::string& name,
                                         const Json& fields) {
  if (!fields.is_object()) return context.Error(name, "expected an object");
  StoredTensor tensor;
  tensor.name = name;
  SDAR_ASSIGN_OR_RETURN(tensor.dtype, ParseStoredDType(context, name, Member(fields, "dtype")));
  SDAR_ASSIGN_OR_RETURN(tensor.shape, ParseShape(context, name, Member(fields, "shape")));
  SDAR_RETURN_IF_ERROR(ParseOffsets(context, Member(fields, "data_offsets"), tensor));
  const std::optional<uint64_t> expected = SizeInBytes(tensor);
  if (!expected) {
    return context.Error(name, "shape ", ShapeText(tensor.shape), " has too many elements");
  }
  if (tensor.size_bytes() != *expected) {
    return context.Error(name, "shape ", ShapeText(tensor.shape), " of ", Name(tensor.dtype),
                         ": expected ", *expected, " bytes, got ", tensor.size_bytes());
  }
  return tensor;
}

absl::Status CheckNoOverlap(const Context& context, const std::vector<StoredTensor>& tensors) {
  std::vector<const StoredTensor*> by_offset;
  for (const StoredTensor& tensor : tensors) {
    if (tensor.size_bytes() > 0) by_offset.push_back(&tensor);
  }
  std::sort(by_offset.begin(), by_offset.end(),
            [](const auto* a, const auto* b) { return a->begin < b->begin; });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const StoredTensor& previous = *by_offset[i - 1];
    if (previous.end > by_offset[i]->begin) {
      return context.Error(by_offset[i]->name, "its data starts at byte ", by_offset[i]->begin,
                           ", inside tensor ", Quoted(previous.name), ", which ends at ",
                           previous.end);
    }
  }
  return absl::OkStatus();
}

// The header's text; the file's first eight bytes are its length, little-endian.
absl::StatusOr<absl::string_view> HeaderText(absl::Span<const std::byte> file,
                                             absl::string_view source) {
  if (file.size() < kLengthBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        source, ": expected a safetensors file of at least 8 bytes, got ", file.size()));
  }
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= std::to_integer<uint64_t>(file[i]) << (8 * i);
  if (length > kMaxSafetensorsHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": header of ", length, " bytes; expected at most ",
                     kMaxSafetensorsHeaderBytes, "; is it a safetensors file?"));
  }
  if (length > file.size() - kLengthBytes) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": header of ", length,
                                                   " bytes in a file of ", file.size(),
                                                   " bytes; is it truncated?"));
  }
  return absl::string_view(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
}

// An error of the JSON parser may quote much of its input.
absl::Status Shortened(const absl::Status& status) {
  constexpr size_t kLongest = 400;
  const absl::string_view message = status.message();
  if (message.size() <= kLongest) return status;
  return absl::Status(status.code(), absl::StrCat(message.substr(0, kLongest), "..."));
}

}  // namespace

absl::string_view Name(StoredDType dtype) { return EntryOf(dtype).name; }

int64_t SizeOf(StoredDType dtype) { return EntryOf(dtype).size; }

std::optional<DType> ToDType(StoredDType dtype) {
  switch (dtype) {
    case StoredDType::kBF16:
      return DType::kBFloat16;
    case StoredDType::kF16:
      return DType::kFloat16;
    case StoredDType::kF32:
      return DType::kFloat32;
    default:
      return std::nullopt;
  }
}

StoredDType ToStored(DType dtype) {
  if (dtype == DType::kBFloat16) return StoredDType::kBF16;
  return dtype == DType::kFloat16 ? StoredDType::kF16 : StoredDType::kF32;
}

std::string ShapeText(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

std::string Quoted(absl::string_view name) {
  constexpr size_t kLongest = 120;
  return absl::StrCat("'", absl::CHexEscape(name.substr(0, kLongest)),
                      name.size() > kLongest ? "...'" : "'");
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::Span<const std::byte> file,
                                                         absl::string_view source) {
  SDAR_ASSIGN_OR_RETURN(const absl::string_view text, HeaderText(file, source));
  auto json =
      ParseJson(text, absl::StrCat(source, ": header"), kMaxHeaderDepth, true, kMaxJsonFileValues);
  if (!json.ok()) return Shortened(json.status());
  if (!json->is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": header: expected a JSON object"));
  }
  SafetensorsHeader header;
  header.data_offset = kLengthBytes + text.size();
  const Context context = {source, file.size() - header.data_offset};
  for (const auto& [name, fields] : json->items()) {
    if (name == kMetadataKey) continue;
    SDAR_ASSIGN_OR_RETURN(StoredTensor tensor, ParseTensor(context, name, fields));
    header.tensors.push_back(std::move(tensor));
  }
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const StoredTensor& a, const StoredTensor& b) { return a.name < b.name; });
  SDAR_RETURN_IF_ERROR(CheckNoOverlap(context, header.tensors));
  return header;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  SDAR_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  const auto* text = reinterpret_cast<const char*>(file.bytes().data());
  SDAR_RETURN_IF_ERROR(CheckNotPointer({text, file.bytes().size()}, path));
  absl::StatusOr<SafetensorsHeader> header = ParseSafetensorsHeader(file.bytes(), path);
  SDAR_RETURN_IF_ERROR(file.CheckUnchanged());
  SDAR_RETURN_IF_ERROR(header.status());
  return SafetensorsFile(std::move(file), *std::move(header));
}

SafetensorsFile::SafetensorsFile(MappedFile file, SafetensorsHeader header)
    : file_(std::move(file)), header_(std::move(header)) {}

const StoredTensor* SafetensorsFile::Find(absl::string_view name) const {
  const auto it = std::lower_bound(
      header_.tensors.begin(), header_.tensors.end(), name,
      [](const StoredTensor& tensor, absl::string_view wanted) { return tensor.name < wanted; });
  return it == header_.tensors.end() || it->name != name ? nullptr : &*it;
}

absl::Span<const std::byte> SafetensorsFile::Bytes(const StoredTensor& tensor) const {
  return file_.bytes().subspan(header_.data_offset + tensor.begin, tensor.size_bytes());
}

}  // namespace sdar
