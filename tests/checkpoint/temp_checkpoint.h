// SPDX-License-Identifier: Apache-2.0
// Small checkpoints in folders that vanish with the test, whole or broken on purpose.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

#include "runtime/checkpoint/model_config.h"
#include "runtime/checkpoint/safetensors_writer.h"
#include "runtime/checkpoint/synthetic.h"
#include "runtime/checkpoint/tensor_catalog.h"

namespace sdar {

// A new folder below the test's temporary directory, removed with everything in it.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = ::testing::TempDir() + "sdar-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  void Write(const std::string& name, const std::string& content) const {
    std::ofstream(File(name), std::ios::binary) << content;
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(File(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::string path_;
};

// A dense model of a few thousand parameters: 2 layers, 4 heads, 2 K/V heads.
inline ModelConfig SmallDenseConfig() {
  ModelConfig config;
  config.hidden_size = 16;
  config.num_layers = 2;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 8;
  config.intermediate_size = 24;
  config.vocab_size = 40;
  config.rope_theta = 1e4;
  config.rms_norm_eps = 1e-6;
  config.max_position_embeddings = 128;
  config.tie_word_embeddings = false;
  config.block_size = 4;
  config.mask_token_id = 39;
  config.eos_token_ids = {38};
  return config;
}

// The same with 6 experts, 2 of them per token, in every layer.
inline ModelConfig SmallMoeConfig() {
  ModelConfig config = SmallDenseConfig();
  config.model_type = ModelType::kMoe;
  config.moe_intermediate_size = 12;
  config.num_experts = 6;
  config.num_experts_per_token = 2;
  config.norm_topk_prob = true;
  return config;
}

// The tensors of `config` as declarations, to be changed and written.
inline std::vector<TensorDeclaration> Declarations(const ModelConfig& config) {
  std::vector<TensorDeclaration> tensors;
  for (TensorSpec& spec : ExpectedTensors(config)) {
    tensors.push_back({std::move(spec.name), StoredDType::kBF16, std::move(spec.shape)});
  }
  return tensors;
}

// Writes `tensors` as zeros.
inline void WriteZeros(const std::string& path, const std::vector<TensorDeclaration>& tensors) {
  auto writer = SafetensorsWriter::Create(path, tensors);
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE(writer->Append(std::vector<std::byte>(writer->bytes_left())).ok());
  ASSERT_TRUE(writer->Finish().ok());
}

// A checkpoint of `config` with random weights; max_file_bytes splits it into shards.
class TempCheckpoint : public TempFolder {
 public:
  explicit TempCheckpoint(const ModelConfig& config, uint64_t max_file_bytes = uint64_t{1} << 32,
                          uint64_t seed = 0) {
    SynthesizeOptions options;
    options.seed = seed;
    options.max_file_bytes = max_file_bytes;
    const absl::Status status = SynthesizeCheckpoint(config, path(), options);
    EXPECT_TRUE(status.ok()) << status;
  }
};

// A safetensors file's bytes: `header` with its length before it and `data_bytes` zeros after.
inline std::string SafetensorsBytes(absl::string_view header, size_t data_bytes) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>((header.size() >> (8 * i)) & 0xFF));
  bytes.append(header.data(), header.size());
  bytes.append(data_bytes, '\0');
  return bytes;
}

}  // namespace sdar
