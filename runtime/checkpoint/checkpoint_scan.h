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
  // Notes fields of config.json and weight files that are not read.
  void NoteUnread();
  // True where the index places tensor `name` in another file than that at `path`.
  bool IsElsewhere(const std::string& name, const std::string& path) const;
  // Enters one file's tensors, but those that the index places in another file.
  void AddTensors(size_t file);
  // Reports what the index promises and no file that could be read holds.
  void CheckIndexed();
  void ResolveTie();
  // A tied model may bring its output matrix all the same: one that is not the embedding is
  // reported, for versions of transformers disagree about which of the two counts.
  void CheckTiedHead();
  void CheckTensors();
  void CheckTensor(const TensorSpec& spec);
  // Reports what belongs to a module that is computed, and notes everything else that no config
  // implies.
  void CheckOthers(const std::vector<TensorSpec>& specs);
  void Ignore(std::string what) { checkpoint_.ignored_.push_back(std::move(what)); }

  bool AllFilesRead() const { return checkpoint_.files_.size() == file_names_.size(); }
  const StoredTensor& At(Checkpoint::Location location) const;

  Checkpoint checkpoint_;
  std::vector<std::string> file_names_;
  std::optional<ShardIndex> index_;  // empty: one file, no index
  std::vector<absl::Status> problems_;
};

}  // namespace sdar
