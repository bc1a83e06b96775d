// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/checkpoint_scan.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

#include "common/json.h"
#include "common/status_macros.h"
#include "runtime/checkpoint/pointer_files.h"

namespace sdar {
namespace {

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";
constexpr size_t kMaxIndexBytes = size_t{256} << 20;

}  // namespace

void CheckpointScan::Run(const Progress& progress) {
  const std::string& folder = checkpoint_.folder_;
  if (absl::Status status = CheckModelFolder(folder); !status.ok()) {
    problems_.push_back(std::move(status));
    return;
  }
  problems_ = FindPointers(folder);
  if (!problems_.empty()) return;
  auto config = LoadModelConfig(folder);
  if (!config.ok()) problems_.push_back(config.status());
  if (absl::Status status = FindFiles(); !status.ok()) {
    problems_.push_back(std::move(status));
    return;
  }
  OpenFiles(progress);
  CheckIndexed();
  if (!config.ok()) return;
  checkpoint_.config_ = *std::move(config);
  ResolveTie();
  CheckTensors();
}

absl::Status CheckpointScan::FindFiles() {
  namespace fs = std::filesystem;
  const std::string& folder = checkpoint_.folder_;
  std::error_code error;
  if (fs::exists(absl::StrCat(folder, "/", kSingleFile), error)) {
    file_names_ = {kSingleFile};
    return absl::OkStatus();
  }
  const std::string index_path = absl::StrCat(folder, "/", kIndexFile);
  if (!fs::exists(index_path, error)) {
    return absl::NotFoundError(
        absl::StrCat(folder, ": expected ", kSingleFile, " or ", kIndexFile, ", found neither"));
  }
  SDAR_ASSIGN_OR_RETURN(const std::string text, ReadFile(index_path, kMaxIndexBytes));
  SDAR_ASSIGN_OR_RETURN(index_, ParseShardIndex(text, index_path));
  file_names_ = index_->files;
  return absl::OkStatus();
}

void CheckpointScan::OpenFiles(const Progress& progress) {
  for (size_t i = 0; i < file_names_.size(); ++i) {
    auto file = SafetensorsFile::Open(absl::StrCat(checkpoint_.folder_, "/", file_names_[i]));
    if (file.ok()) {
      checkpoint_.files_.push_back(*std::move(file));
      AddTensors(checkpoint_.files_.size() - 1);
    } else {
      problems_.push_back(file.status());
    }
    if (progress) progress(static_cast<double>(i + 1) / static_cast<double>(file_names_.size()));
  }
}

void CheckpointScan::AddTensors(size_t file) {
  const SafetensorsFile& source = checkpoint_.files_[file];
  for (size_t i = 0; i < source.tensors().size(); ++i) {
    const std::string& name = source.tensors()[i].name;
    const auto [it, fresh] = checkpoint_.tensors_.insert({name, {file, i}});
    if (!fresh) {
      problems_.push_back(absl::InvalidArgumentError(
          absl::StrCat(source.path(), ": tensor ", Quoted(name), ": expected once, but ",
                       checkpoint_.files_[it->second.file].path(), " holds it, too")));
    } else if (index_ && !index_->file_of.contains(name)) {
      problems_.push_back(absl::InvalidArgumentError(
          absl::StrCat(source.path(), ": tensor ", Quoted(name), " is not in ", kIndexFile)));
    }
  }
}

void CheckpointScan::CheckIndexed() {
  if (!index_) return;
  std::vector<absl::string_view> names;  // in order, so that problems are
  for (const auto& [name, file] : index_->file_of) names.push_back(name);
  std::sort(names.begin(), names.end());
  for (absl::string_view name : names) {
    const std::string path =
        absl::StrCat(checkpoint_.folder_, "/", index_->files[index_->file_of.find(name)->second]);
    const auto file = std::find_if(checkpoint_.files_.begin(), checkpoint_.files_.end(),
                                   [&](const SafetensorsFile& f) { return f.path() == path; });
    // A file that could not be read has its own problem.
    if (file == checkpoint_.files_.end() || file->Find(name) != nullptr) continue;
    problems_.push_back(absl::InvalidArgumentError(absl::StrCat(
        path, ": tensor ", Quoted(name), ": ", kIndexFile, " places it here, but it is absent")));
  }
}

void CheckpointScan::ResolveTie() {
  ModelConfig& config = checkpoint_.config_;
  if (config.tie_word_embeddings) return;
  config.tie_word_embeddings = !checkpoint_.tensors_.contains(kLmHeadName);
}

const StoredTensor& CheckpointScan::At(Checkpoint::Location location) const {
  return checkpoint_.files_[location.file].tensors()[location.tensor];
}

void CheckpointScan::CheckTensors() {
  const std::vector<TensorSpec> specs = ExpectedTensors(checkpoint_.config_);
  for (const TensorSpec& spec : specs) CheckTensor(spec);
  CheckNothingElse(specs);
}

void CheckpointScan::CheckTensor(const TensorSpec& spec) {
  const auto it = checkpoint_.tensors_.find(spec.name);
  if (it == checkpoint_.tensors_.end()) {
    // Where a file could not be read, or the index already named the gap, one problem is enough.
    if (!AllFilesRead() || (index_ && index_->file_of.contains(spec.name))) return;
    problems_.push_back(absl::NotFoundError(
        absl::StrCat(checkpoint_.folder_, ": tensor ", Quoted(spec.name), ": expected ",
                     ShapeText(spec.shape), " by config.json, but it is absent")));
    return;
  }
  const StoredTensor& stored = At(it->second);
  const std::string& path = checkpoint_.files_[it->second.file].path();
  if (!std::equal(spec.shape.begin(), spec.shape.end(), stored.shape.begin(), stored.shape.end())) {
    problems_.push_back(absl::InvalidArgumentError(
        absl::StrCat(path, ": tensor ", Quoted(spec.name), ": expected shape ",
                     ShapeText(spec.shape), " by config.json, got ", ShapeText(stored.shape))));
  }
  if (!ToDType(stored.dtype)) {
    problems_.push_back(absl::InvalidArgumentError(
        absl::StrCat(path, ": tensor ", Quoted(spec.name),
                     ": expected dtype BF16, F16 or F32, got ", Name(stored.dtype))));
  }
}

void CheckpointScan::CheckNothingElse(const std::vector<TensorSpec>& specs) {
  absl::flat_hash_set<absl::string_view> expected;
  for (const TensorSpec& spec : specs) expected.insert(spec.name);
  expected.insert(kLmHeadName);
  for (const SafetensorsFile& file : checkpoint_.files_) {
    for (const StoredTensor& tensor : file.tensors()) {
      if (expected.contains(tensor.name)) continue;
      problems_.push_back(absl::InvalidArgumentError(absl::StrCat(
          file.path(), ": tensor ", Quoted(tensor.name), ": config.json implies no such tensor")));
    }
  }
}

}  // namespace sdar
