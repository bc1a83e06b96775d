// SPDX-License-Identifier: Apache-2.0
// Tensors of any shape without a file or memory: the device that packs them makes them up.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "bench/forward/routing.h"
#include "common/dtype.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/model_config.h"
#include "runtime/checkpoint/tensor_catalog.h"

namespace sdar {

// Serves all tensors of a config with the weights that sdar-checkpoint would write for seed 0; only
// norms, and routers that are not uniform, are in memory. Must outlive the use of what Find
// returns.
class SyntheticSource {
 public:
  explicit SyntheticSource(const ModelConfig& config, Routing routing = Routing::kUniform);

  // NotFound for a name that the config does not imply.
  absl::StatusOr<TensorData> Find(absl::string_view name) const;

 private:
  struct Tensor {
    TensorSpec spec;
    std::vector<BFloat16> values;  // empty: made up by the device
  };
  std::map<std::string, Tensor, std::less<>> tensors_;
};

}  // namespace sdar
