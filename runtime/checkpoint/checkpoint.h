// SPDX-License-Identifier: Apache-2.0
// A model folder on disk: its config and its weight tensors, found by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/dtype.h"
#include "runtime/checkpoint/model_config.h"
#include "runtime/checkpoint/progress.h"
#include "runtime/checkpoint/safetensors.h"

namespace sdar {

// One tensor: its bytes in a mapped file, row-major, any alignment, borrowed from the checkpoint;
// or made up.
struct TensorData {
  DType dtype = DType::kBFloat16;
  absl::Span<const int64_t> shape;
  absl::Span<const std::byte> bytes;
  absl::string_view file;  // path
  // The tensor is bfloat16 of this key (common/synthetic_weight.h) and has no bytes.
  std::optional<uint64_t> synthetic_key = std::nullopt;
};

// What the shard index of a checkpoint says: which file holds which tensor.
struct ShardIndex {
  std::vector<std::string> files;                    // ascending, no file twice
  absl::flat_hash_map<std::string, size_t> file_of;  // tensor name to index in `files`
};

// Reads the text of model.safetensors.index.json. InvalidArgument names `source` and the entry: no
// weight_map, a tensor twice, a file name that leaves the folder.
absl::StatusOr<ShardIndex> ParseShardIndex(absl::string_view json, absl::string_view source);

// A checked checkpoint with its files mapped. Reading is safe from any thread.
class Checkpoint {
 public:
  // Reads config, index and file headers, no tensor bytes: each rank touches only those it copies.
  // On success every tensor that the config implies is there, with its shape, in a dtype that
  // ToDType knows, and nothing else belongs to a module that is computed (a bias, a scale).
  // Otherwise the first of VerifyCheckpoint's problems.
  static absl::StatusOr<Checkpoint> Open(const std::string& folder);

  const std::string& folder() const { return folder_; }
  // tie_word_embeddings is always filled in.
  const ModelConfig& config() const { return config_; }

  // What the folder holds that has no effect, one sentence each: fields of config.json, tensors,
  // weight files.
  const std::vector<std::string>& ignored() const { return ignored_; }

  // NotFound names the tensor and the folder. DataLoss names its file when that has changed.
  absl::StatusOr<TensorData> Find(absl::string_view name) const;

  // OK when all that was read of tensors so far was what the files held when they were opened.
  // DataLoss names the file: bytes that cannot be read are zeros. Ask once a model is loaded.
  absl::Status CheckUnchanged() const;

  // A hash over every tensor's name, dtype and shape, the same on every rank with the same weights
  // layout, however they are split into files.
  uint64_t IndexHash() const;

  // Bytes of all tensors together, and the number of files they are in.
  uint64_t TotalBytes() const;
  size_t NumFiles() const { return files_.size(); }

 private:
  friend class CheckpointScan;
  struct Location {
    size_t file;    // in files_
    size_t tensor;  // in files_[file].tensors()
  };

  Checkpoint() = default;

  std::string folder_;
  ModelConfig config_;
  std::vector<std::string> ignored_;
  std::vector<SafetensorsFile> files_;
  absl::flat_hash_map<std::string, Location> tensors_;
};

// Everything that is wrong with a checkpoint, one error for each problem, each naming file and
// tensor, what was expected and what was found; empty when it loads. Reads headers only.
std::vector<absl::Status> VerifyCheckpoint(const std::string& folder, const Progress& progress);

}  // namespace sdar
