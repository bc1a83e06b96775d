// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "common/json.h"
#include "common/status_macros.h"
#include "runtime/checkpoint/checkpoint_scan.h"

namespace sdar {
namespace {

constexpr int kMaxIndexDepth = 8;

bool StaysInFolder(absl::string_view file_name) {
  return !file_name.empty() && !absl::StrContains(file_name, "/") &&
         !absl::StrContains(file_name, "..") && file_name != "." &&
         !absl::StrContains(file_name, absl::string_view("\0", 1));
}

// FNV-1a, 64 bits: the same on every machine, unlike absl::Hash.
class StableHash {
 public:
  void Add(absl::string_view text) {
    for (const char c : text) AddByte(static_cast<unsigned char>(c));
    AddByte(0);
  }
  void Add(uint64_t value) {
    for (int i = 0; i < 8; ++i) AddByte(static_cast<unsigned char>(value >> (8 * i)));
  }
  uint64_t value() const { return value_; }

 private:
  void AddByte(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001B3u; }
  uint64_t value_ = 0xCBF29CE484222325u;
};

}  // namespace

absl::StatusOr<ShardIndex> ParseShardIndex(absl::string_view json, absl::string_view source) {
  SDAR_ASSIGN_OR_RETURN(const Json parsed,
                        ParseJson(json, source, kMaxIndexDepth, true, kMaxJsonFileValues));
  const auto map = parsed.is_object() ? parsed.find("weight_map") : parsed.end();
  if (map == parsed.end() || !map->is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": expected an object with an object 'weight_map'"));
  }
  ShardIndex index;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string() || !StaysInFolder(file.get_ref<const std::string&>())) {
      return absl::InvalidArgumentError(
          absl::StrCat(source, ": weight_map: tensor ", Quoted(tensor),
                       ": expected the name of a file in this folder, got ",
                       file.is_string() ? Quoted(file.get_ref<const std::string&>())
                                        : std::string(file.type_name())));
    }
    index.files.push_back(file.get<std::string>());
  }
  std::sort(index.files.begin(), index.files.end());
  index.files.erase(std::unique(index.files.begin(), index.files.end()), index.files.end());
  if (index.files.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": weight_map is empty"));
  }
  for (const auto& [tensor, file] : map->items()) {
    const auto it = std::lower_bound(index.files.begin(), index.files.end(),
                                     file.get_ref<const std::string&>());
    index.file_of[tensor] = static_cast<size_t>(it - index.files.begin());
  }
  return index;
}

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::string& folder) {
  CheckpointScan scan(folder);
  scan.Run(Progress());
  if (scan.problems().empty()) return scan.Take();
  const absl::Status& first = scan.problems().front();
  const size_t others = scan.problems().size() - 1;
  if (others == 0) return first;
  return absl::Status(first.code(), absl::StrCat(first.message(), " (and ", others,
                                                 " more; sdar-checkpoint verify lists them)"));
}

absl::StatusOr<TensorData> Checkpoint::Find(absl::string_view name) const {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) {
    return absl::NotFoundError(absl::StrCat(folder_, ": no tensor ", Quoted(name)));
  }
  const SafetensorsFile& file = files_[it->second.file];
  const StoredTensor& stored = file.tensors()[it->second.tensor];
  SDAR_RETURN_IF_ERROR(file.CheckUnchanged());
  const std::optional<DType> dtype = ToDType(stored.dtype);
  if (!dtype) {
    return absl::InvalidArgumentError(absl::StrCat(file.path(), ": tensor ", Quoted(name),
                                                   ": expected dtype BF16, F16 or F32, got ",
                                                   Name(stored.dtype)));
  }
  return TensorData{*dtype, stored.shape, file.Bytes(stored), file.path()};
}

absl::Status Checkpoint::CheckUnchanged() const {
  for (const SafetensorsFile& file : files_) SDAR_RETURN_IF_ERROR(file.CheckUnchanged());
  return absl::OkStatus();
}

uint64_t Checkpoint::IndexHash() const {
  std::vector<absl::string_view> names;
  for (const auto& [name, location] : tensors_) names.push_back(name);
  std::sort(names.begin(), names.end());
  StableHash hash;
  for (absl::string_view name : names) {
    const Location location = tensors_.find(name)->second;
    const StoredTensor& stored = files_[location.file].tensors()[location.tensor];
    hash.Add(name);
    hash.Add(Name(stored.dtype));
    hash.Add(stored.shape.size());
    for (int64_t size : stored.shape) hash.Add(static_cast<uint64_t>(size));
  }
  return hash.value();
}

uint64_t Checkpoint::TotalBytes() const {
  uint64_t total = 0;
  for (const SafetensorsFile& file : files_) {
    for (const StoredTensor& tensor : file.tensors()) total += tensor.size_bytes();
  }
  return total;
}

std::vector<absl::Status> VerifyCheckpoint(const std::string& folder, const Progress& progress) {
  CheckpointScan scan(folder);
  scan.Run(progress);
  return scan.problems();
}

}  // namespace sdar
