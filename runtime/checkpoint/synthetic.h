// SPDX-License-Identifier: Apache-2.0
// Checkpoints with random weights, for measuring without a download: known shapes, and weights that
// are a pure function of (seed, tensor name, index).
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/dtype.h"
#include "runtime/checkpoint/model_config.h"
#include "runtime/checkpoint/progress.h"

namespace sdar {

// The published shapes by name: "1.7b", "4b", "8b", "30b-a3b".
std::vector<std::string> SyntheticShapeNames();

// The config of a named shape, or of the config.json file that `shape` is the path of.
// InvalidArgument lists the names.
absl::StatusOr<ModelConfig> SyntheticConfig(const std::string& shape);

// Names a tensor's stream of weights (common/synthetic_weight.h): a hash of (seed, tensor name),
// the same on every machine.
uint64_t SyntheticKey(uint64_t seed, absl::string_view tensor_name);

// Weights begin .. begin + out.size() - 1 of the tensor: SyntheticWeight rounded to bfloat16, or 1
// where IsNormName. Any thread; parts may be filled in any order, so that a rank fills only its
// own.
void FillSyntheticTensor(uint64_t seed, absl::string_view tensor_name, uint64_t begin,
                         absl::Span<BFloat16> out);

struct SynthesizeOptions {
  uint64_t seed = 0;
  // A file is closed before it grows beyond this, but holds at least one tensor.
  uint64_t max_file_bytes = 4'000'000'000;
  int num_threads = 0;  // 0: as many as there are cores
  Progress progress;
  // Looked at between pieces of work; when true, what was written is removed. May be null.
  const std::atomic<bool>* stop = nullptr;
};

// Writes `config` as a checkpoint of bfloat16 weights in `folder`, which is made when absent:
// weights in model.safetensors or in shards with an index, generation_config.json and, last, so
// that an unfinished folder never loads, config.json. No tokenizer files. FailedPrecondition when
// the folder holds a checkpoint; Cancelled after `stop`.
absl::Status SynthesizeCheckpoint(const ModelConfig& config, const std::string& folder,
                                  const SynthesizeOptions& options);

}  // namespace sdar
