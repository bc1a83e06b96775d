// SPDX-License-Identifier: Apache-2.0
// The requests of a load run, drawn one after the other. Knows no server and no clock.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "bench/load/length_distribution.h"
#include "bench/load/load_options.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

struct PlannedCall {
  absl::Duration arrival;  // open loop: since the start of the run
  sdar::v1::GenerateRequest request;
  std::optional<int64_t> cancel_after_tokens;  // at least 1
};

// The same options and model give the same calls. One thread.
class LoadPlan {
 public:
  // InvalidArgument when the longest request does not fit the model's sequences.
  static absl::StatusOr<LoadPlan> Create(const LoadOptions& options,
                                         const sdar::v1::GetModelInfoResponse& model);

  PlannedCall Next();

 private:
  LoadPlan(const LoadOptions& options, LengthDistribution prompt, LengthDistribution output,
           uint32_t num_ids);

  void AddIds(int64_t count, sdar::v1::TokenIds& ids);

  LoadOptions options_;
  LengthDistribution prompt_;
  LengthDistribution output_;
  uint32_t num_ids_;  // ids are drawn from [0, num_ids)
  std::mt19937_64 random_;
  std::vector<sdar::v1::TokenIds> prefixes_;
  double seconds_ = 0;  // of the last arrival
  uint64_t num_calls_ = 0;
};

}  // namespace sdar
