// SPDX-License-Identifier: Apache-2.0
// Tensors of any shape without a file: every matrix reads the same arena.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "common/dtype.h"
#include "runtime/model/checkpoint.h"
#include "runtime/model/model_config.h"
#include "runtime/model/tensor_catalog.h"

namespace sdar {

// Serves all tensors of a config from memory of the largest one's size, filled once: times depend
// on sizes, not on values, and a second copy of a real model would not fit. Layers come out alike,
// so the logits mean nothing. Must outlive the use of what Find returns.
class SyntheticSource {
 public:
  explicit SyntheticSource(const ModelConfig& config);

  // NotFound for a name that the config does not imply.
  absl::StatusOr<TensorData> Find(absl::string_view name) const;

 private:
  std::map<std::string, TensorSpec, std::less<>> specs_;
  std::vector<BFloat16> matrix_;
  std::vector<BFloat16> ones_;  // norms
};

}  // namespace sdar
