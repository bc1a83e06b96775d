// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/checkpoint_scan.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

#include "common/json.h"
#include "common/status_macros.h"
#include "runtime/checkpoint/model_location.h"
#include "runtime/checkpoint/pointer_files.h"

namespace sdar {
namespace {

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";
constexpr size_t kMaxIndexBytes = size_t{256} << 20;
constexpr size_t kComparedPlaces = 256;
constexpr size_t kComparedBytes = 512;

// "model.norm" of "model.norm.weight".
absl::string_view ModuleOf(absl::string_view tensor) {
  const size_t dot = tensor.rfind('.');
  return dot == absl::string_view::npos ? tensor : tensor.substr(0, dot);
}

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
  NoteUnread();
  ResolveTie();
  CheckTensors();
}

void CheckpointScan::NoteUnread() {
  for (const std::string& field : checkpoint_.config_.unknown_fields) {
    Ignore(absl::StrCat("config.json: field ", Quoted(field), " is not known here"));
  }
  std::vector<std::string> unread;
  std::error_code error;
  namespace fs = std::filesystem;
  for (fs::directory_iterator entry(checkpoint_.folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool is_read =
        std::find(file_names_.begin(), file_names_.end(), name) != file_names_.end();
    if (entry->path().extension() == ".safetensors" && !is_read) unread.push_back(name);
  }
  std::sort(unread.begin(), unread.end());
  for (const std::string& name : unread) {
    Ignore(absl::StrCat(Quoted(name), " is not among the files that are read (",
                        index_ ? kIndexFile : kSingleFile, ")"));
  }
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

bool CheckpointScan::IsElsewhere(const std::string& name, const std::string& path) const {
  if (!index_) return false;
  const auto place = index_->file_of.find(name);
  if (place == index_->file_of.end()) return false;
  return path != absl::StrCat(checkpoint_.folder_, "/", index_->files[place->second]);
}

void CheckpointScan::AddTensors(size_t file) {
  const SafetensorsFile& source = checkpoint_.files_[file];
  for (size_t i = 0; i < source.tensors().size(); ++i) {
    const std::string& name = source.tensors()[i].name;
    if (IsElsewhere(name, source.path())) {
      Ignore(absl::StrCat(source.path(), ": tensor ", Quoted(name), ": ", kIndexFile,
                          " places it in another file"));
      continue;
    }
    const auto [it, fresh] = checkpoint_.tensors_.insert({name, {file, i}});
    if (fresh) continue;
    problems_.push_back(absl::InvalidArgumentError(
        absl::StrCat(source.path(), ": tensor ", Quoted(name), ": expected once, but ",
                     checkpoint_.files_[it->second.file].path(), " holds it, too")));
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
  CheckOthers(specs);
  CheckTiedHead();
}

void CheckpointScan::CheckTiedHead() {
  const auto head = checkpoint_.tensors_.find(kLmHeadName);
  const auto embedding = checkpoint_.tensors_.find(kEmbedTokensName);
  const auto end = checkpoint_.tensors_.end();
  if (!checkpoint_.config_.IsTied() || head == end || embedding == end) return;
  const StoredTensor& a = At(head->second);
  const StoredTensor& b = At(embedding->second);
  const SafetensorsFile& file = checkpoint_.files_[head->second.file];
  const auto mine = file.Bytes(a);
  const auto its = checkpoint_.files_[embedding->second.file].Bytes(b);
  bool same = a.dtype == b.dtype && a.shape == b.shape && mine.size() == its.size();
  // Trained on its own, a matrix differs everywhere: some places tell.
  const size_t step = std::max<size_t>(1, mine.size() / kComparedPlaces);
  for (size_t at = 0; same && at < mine.size(); at += step) {
    const size_t count = std::min(kComparedBytes, mine.size() - at);
    same = std::memcmp(mine.data() + at, its.data() + at, count) == 0;
  }
  if (same) return;
  problems_.push_back(absl::InvalidArgumentError(absl::StrCat(
      file.path(), ": tensor ", Quoted(kLmHeadName), ": expected the same as ", kEmbedTokensName,
      ", for config.json says tie_word_embeddings; say false there if the output matrix counts, or "
      "leave the tensor out")));
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

void CheckpointScan::CheckOthers(const std::vector<TensorSpec>& specs) {
  absl::flat_hash_set<absl::string_view> expected;
  absl::flat_hash_set<absl::string_view> modules;
  for (const TensorSpec& spec : specs) {
    expected.insert(spec.name);
    modules.insert(ModuleOf(spec.name));
  }
  for (const SafetensorsFile& file : checkpoint_.files_) {
    for (const StoredTensor& tensor : file.tensors()) {
      if (expected.contains(tensor.name)) continue;
      const std::string which = absl::StrCat(file.path(), ": tensor ", Quoted(tensor.name));
      if (modules.contains(ModuleOf(tensor.name))) {
        problems_.push_back(absl::InvalidArgumentError(absl::StrCat(
            which, ": expected nothing but a weight for this module (not supported)")));
      } else if (tensor.name == kLmHeadName) {
        Ignore(absl::StrCat(which, ": the output matrix is the embedding (tie_word_embeddings)"));
      } else {
        Ignore(absl::StrCat(which, ": config.json implies no such tensor"));
      }
    }
  }
}

}  // namespace sdar
