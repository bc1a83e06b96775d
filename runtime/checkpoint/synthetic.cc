// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/synthetic.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "common/json.h"
#include "common/status_macros.h"
#include "common/synthetic_weight.h"
#include "runtime/checkpoint/safetensors_writer.h"
#include "runtime/checkpoint/tensor_catalog.h"

namespace sdar {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPieceElements = size_t{1} << 24;  // 32 MiB of bfloat16 between two writes

struct NamedShape {
  const char* name;
  int64_t hidden_size;
  int num_layers;
  int num_heads;
  int num_kv_heads;
  int64_t intermediate_size;
};

constexpr std::array<NamedShape, 4> kShapes = {{
    {"1.7b", 2048, 28, 16, 8, 6144},
    {"4b", 2560, 36, 32, 8, 9728},
    {"8b", 4096, 36, 32, 8, 12288},
    {"30b-a3b", 2048, 48, 32, 4, 6144},
}};
constexpr absl::string_view kMoeShape = "30b-a3b";

ModelConfig ConfigOf(const NamedShape& shape) {
  ModelConfig config;
  config.hidden_size = shape.hidden_size;
  config.num_layers = shape.num_layers;
  config.num_heads = shape.num_heads;
  config.num_kv_heads = shape.num_kv_heads;
  config.intermediate_size = shape.intermediate_size;
  config.head_dim = 128;
  config.vocab_size = 151936;
  config.rope_theta = 1e6;
  config.rms_norm_eps = 1e-6;
  config.max_position_embeddings = 32768;
  config.tie_word_embeddings = false;
  config.block_size = 4;
  config.mask_token_id = 151669;
  config.eos_token_ids = {151645, 151643};
  if (shape.name == kMoeShape) {
    config.model_type = ModelType::kMoe;
    config.moe_intermediate_size = 768;
    config.num_experts = 128;
    config.num_experts_per_token = 8;
    config.norm_topk_prob = true;
  }
  return config;
}

// One file to be written.
struct FilePlan {
  std::string name;
  std::vector<TensorDeclaration> tensors;
  uint64_t bytes = 0;
};

uint64_t NumElements(const TensorDeclaration& tensor) {
  uint64_t count = 1;
  for (int64_t size : tensor.shape) count *= static_cast<uint64_t>(size);
  return count;
}

std::vector<FilePlan> PlanFiles(const ModelConfig& config, uint64_t max_file_bytes) {
  std::vector<FilePlan> files(1);
  for (TensorSpec& spec : ExpectedTensors(config)) {
    TensorDeclaration tensor = {std::move(spec.name), StoredDType::kBF16, std::move(spec.shape)};
    const uint64_t bytes = NumElements(tensor) * sizeof(BFloat16);
    if (!files.back().tensors.empty() && files.back().bytes + bytes > max_file_bytes) {
      files.emplace_back();
    }
    files.back().bytes += bytes;
    files.back().tensors.push_back(std::move(tensor));
  }
  for (size_t i = 0; i < files.size(); ++i) {
    files[i].name = files.size() == 1
                        ? "model.safetensors"
                        : absl::StrFormat("model-%05d-of-%05d.safetensors", i + 1, files.size());
  }
  return files;
}

std::string IndexText(const std::vector<FilePlan>& files) {
  uint64_t total = 0;
  Json::object_t weight_map;  // appended directly: insertion by name looks at all members
  for (const FilePlan& file : files) {
    total += file.bytes;
    for (const TensorDeclaration& tensor : file.tensors) {
      weight_map.push_back({tensor.name, file.name});
    }
  }
  Json index;
  index["metadata"]["total_size"] = total;
  index["weight_map"] = Json(std::move(weight_map));
  return DumpJson(index);
}

// Fills and writes files; knows how much of the whole is done.
class CheckpointWriter {
 public:
  CheckpointWriter(std::string folder, const SynthesizeOptions& options, uint64_t total_bytes)
      : folder_(std::move(folder)), options_(options), total_bytes_(total_bytes) {
    const auto cores = static_cast<int>(std::thread::hardware_concurrency());
    num_threads_ =
        static_cast<size_t>(std::max(1, options.num_threads > 0 ? options.num_threads : cores));
  }

  absl::Status WriteWeights(const FilePlan& file) {
    const std::string path = absl::StrCat(folder_, "/", file.name);
    SDAR_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                          SafetensorsWriter::Create(path, file.tensors, {{"format", "pt"}}));
    for (const TensorDeclaration& tensor : file.tensors) {
      SDAR_RETURN_IF_ERROR(WriteTensor(tensor, writer));
    }
    written_.push_back(path);
    return writer.Finish();
  }

  absl::Status WriteText(const char* name, absl::string_view text) {
    written_.push_back(absl::StrCat(folder_, "/", name));
    return WriteFileAtomically(written_.back(), text);
  }

  // Removes what this object wrote.
  void Undo() {
    std::error_code ignored;
    for (const std::string& path : written_) fs::remove(path, ignored);
  }

 private:
  absl::Status WriteTensor(const TensorDeclaration& tensor, SafetensorsWriter& writer) {
    const uint64_t count = NumElements(tensor);
    for (uint64_t begin = 0; begin < count; begin += kPieceElements) {
      if (options_.stop != nullptr && options_.stop->load()) {
        return absl::CancelledError("interrupted; what was written is removed");
      }
      piece_.resize(static_cast<size_t>(std::min<uint64_t>(kPieceElements, count - begin)));
      FillPiece(tensor.name, begin);
      SDAR_RETURN_IF_ERROR(writer.Append(
          {reinterpret_cast<const std::byte*>(piece_.data()), piece_.size() * sizeof(BFloat16)}));
      done_bytes_ += piece_.size() * sizeof(BFloat16);
      if (options_.progress) {
        options_.progress(static_cast<double>(done_bytes_) / static_cast<double>(total_bytes_));
      }
    }
    return absl::OkStatus();
  }

  void FillPiece(const std::string& name, uint64_t begin) {
    constexpr size_t kWorthAThread = size_t{1} << 18;
    const size_t parts = std::clamp<size_t>(piece_.size() / kWorthAThread, 1, num_threads_);
    const size_t stride = (piece_.size() + parts - 1) / parts;
    std::vector<std::jthread> threads;
    for (size_t from = stride; from < piece_.size(); from += stride) {
      threads.emplace_back([this, &name, begin, from, stride] {
        FillSyntheticTensor(options_.seed, name, begin + from,
                            absl::MakeSpan(piece_).subspan(from, stride));
      });
    }
    FillSyntheticTensor(options_.seed, name, begin, absl::MakeSpan(piece_).subspan(0, stride));
  }

  std::string folder_;
  const SynthesizeOptions& options_;
  uint64_t total_bytes_;
  uint64_t done_bytes_ = 0;
  size_t num_threads_ = 1;
  std::vector<BFloat16> piece_;
  std::vector<std::string> written_;
};

absl::Status PrepareFolder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return absl::InvalidArgumentError(absl::StrCat(folder, ": ", error.message()));
  for (const char* name : {"config.json", "model.safetensors", "model.safetensors.index.json"}) {
    if (fs::exists(absl::StrCat(folder, "/", name), error)) {
      return absl::FailedPreconditionError(
          absl::StrCat(folder, ": expected a folder without a checkpoint, but it holds ", name));
    }
  }
  return absl::OkStatus();
}

std::string GenerationConfigText(const ModelConfig& config) {
  Json json;
  json["do_sample"] = false;
  if (!config.eos_token_ids.empty()) json["eos_token_id"] = config.eos_token_ids;
  return json.dump(2) + "\n";
}

absl::Status WriteAll(const ModelConfig& config, const std::vector<FilePlan>& files,
                      CheckpointWriter& writer) {
  for (const FilePlan& file : files) SDAR_RETURN_IF_ERROR(writer.WriteWeights(file));
  if (files.size() > 1) {
    SDAR_RETURN_IF_ERROR(writer.WriteText("model.safetensors.index.json", IndexText(files)));
  }
  SDAR_RETURN_IF_ERROR(writer.WriteText("generation_config.json", GenerationConfigText(config)));
  return writer.WriteText("config.json", ToJson(config).dump(2) + "\n");
}

}  // namespace

std::vector<std::string> SyntheticShapeNames() {
  std::vector<std::string> names;
  for (const NamedShape& shape : kShapes) names.push_back(shape.name);
  return names;
}

absl::StatusOr<ModelConfig> SyntheticConfig(const std::string& shape) {
  for (const NamedShape& named : kShapes) {
    if (shape == named.name) return ConfigOf(named);
  }
  std::error_code error;
  if (!fs::is_regular_file(shape, error)) {
    return absl::InvalidArgumentError(absl::StrCat("shape '", shape, "': expected ",
                                                   absl::StrJoin(SyntheticShapeNames(), ", "),
                                                   " or the path of a config.json"));
  }
  SDAR_ASSIGN_OR_RETURN(const std::string text, ReadFile(shape, size_t{16} << 20));
  return ParseModelConfig(text, shape);
}

uint64_t SyntheticKey(uint64_t seed, absl::string_view tensor_name) {
  uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a
  for (const char c : tensor_name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return SyntheticMix64(hash ^ SyntheticMix64(seed + 0x9E3779B97F4A7C15u));
}

void FillSyntheticTensor(uint64_t seed, absl::string_view tensor_name, uint64_t begin,
                         absl::Span<BFloat16> out) {
  if (IsNormName(tensor_name)) {
    std::fill(out.begin(), out.end(), ToBFloat16(1.0f));
    return;
  }
  FillSynthetic({SyntheticKey(seed, tensor_name), begin}, out.size(), out.data());
}

absl::Status SynthesizeCheckpoint(const ModelConfig& config, const std::string& folder,
                                  const SynthesizeOptions& options) {
  SDAR_RETURN_IF_ERROR(config.Validate());
  SDAR_RETURN_IF_ERROR(PrepareFolder(folder));
  const std::vector<FilePlan> files = PlanFiles(config, options.max_file_bytes);
  uint64_t total_bytes = 0;
  for (const FilePlan& file : files) total_bytes += file.bytes;
  CheckpointWriter writer(folder, options, total_bytes);
  absl::Status status = WriteAll(config, files, writer);
  if (!status.ok()) writer.Undo();
  return status;
}

}  // namespace sdar
