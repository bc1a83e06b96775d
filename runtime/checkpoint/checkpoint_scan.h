// SPDX-License-Identifier: Apache-2.0
// Reads a checkpoint folder and collects what is wrong with it; Checkpoint::Open and
// VerifyCheckpoint are its two users.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/progress.h"
#include "runtime/checkpoint/tensor_catalog.h"

namespace sdar {

// Usage: construct, Run once, look at problems(); with none of them, Take the checkpoint.
class CheckpointScan {
 public:
  explicit CheckpointScan(std::string folder) { checkpoint_.folder_ = std::move(folder); }

  // Stops early only where nothing further can be known (no config, no files).
  void Run(const Progress& progress);

  const std::vector<absl::Status>& problems() const { return problems_; }
  Checkpoint Take() { return std::move(checkpoint_); }

 private:
  // Fills file_names_ and index_.
  absl::Status FindFiles();
  void OpenFiles(const Progress& progress);
  // Enters one file's tensors; reports those that another file has, too, and those that the index
  // places elsewhere.
  void AddTensors(size_t file);
  // Reports what the index promises and no file that could be read holds.
  void CheckIndexed();
  void ResolveTie();
  void CheckTensors();
  void CheckTensor(const TensorSpec& spec);
  void CheckNothingElse(const std::vector<TensorSpec>& specs);

  bool AllFilesRead() const { return checkpoint_.files_.size() == file_names_.size(); }
  const StoredTensor& At(Checkpoint::Location location) const;

  Checkpoint checkpoint_;
  std::vector<std::string> file_names_;
  std::optional<ShardIndex> index_;  // empty: one file, no index
  std::vector<absl::Status> problems_;
};

}  // namespace sdar
