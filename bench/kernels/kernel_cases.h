// SPDX-License-Identifier: Apache-2.0
// Single calls of a backend with the shapes of a model, for timing.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "bench/kernels/kernel_memory.h"
#include "bench/kernels/kernel_options.h"
#include "bench/kernels/kernel_work.h"
#include "runtime/checkpoint/model_config.h"

namespace sdar {

// One call. What it reads beyond its rows (weights, K/V, embeddings) it takes from another place
// each time; its rows stay in a cache where they fit, as they do within a pass.
struct KernelCase {
  std::string kernel;   // as in KernelNames()
  std::string variant;  // "gate_up", "uniform", "8 x 4 rows, context 1024"
  int64_t rows = 0;
  KernelWork work;
  std::function<void(int64_t call)> run;  // enqueues it; call: counts up
  bool waits = false;                     // for the device, itself
};

// What can be swept, in the order of a pass.
std::vector<std::string> KernelNames();

// How rows choose their experts.
enum class RoutingKind {
  kUniform,  // every choice equally likely
  kSkewed,   // likelihood 1 / rank (Zipf)
  kHot,      // all rows the same
};

// k distinct experts for each of `rows` rows: [rows * k]. turn: which experts are the likely ones.
std::vector<int32_t> MakeRouting(RoutingKind kind, int64_t rows, int64_t k, int64_t experts,
                                 int64_t turn, std::mt19937& random);

// Makes the memory of one kernel after the other and shows its cases while it is there.
class KernelCases {
 public:
  using Visit = absl::FunctionRef<absl::Status(const KernelCase&)>;

  // Requires: all outlive it.
  KernelCases(const ModelConfig& config, const KernelSweep& sweep, Backend& backend);

  // The first error of `visit`, or ResourceExhausted where memory does not suffice.
  absl::Status ForEach(Visit visit);

  // Cases that were left out for the memory they would need, in words.
  const std::vector<std::string>& left_out() const { return left_out_; }

 private:
  absl::Status Embed(Visit visit);
  absl::Status AddRmsNorm(Visit visit);
  absl::Status MatMuls(Visit visit);
  absl::Status MatMul(absl::string_view name, int64_t cols, int64_t outputs, Visit visit);
  absl::Status QkNormRopeWrite(Visit visit);
  absl::Status BlockAttention(Visit visit);
  absl::Status Attend(const AttentionCase& which, const KvPages& pages, int64_t num_pages,
                      Visit visit);
  absl::Status SwiGlu(Visit visit);
  absl::Status Route(Visit visit);
  absl::Status Experts(Visit visit);
  absl::Status RunExperts(const ExpertWeights& weights, RoutingKind kind, int64_t rows,
                          Visit visit);
  absl::Status SummarizeLogits(Visit visit);

  bool HasDense() const { return config_.NumSparseLayers() < config_.num_layers; }
  bool HasExperts() const { return config_.NumSparseLayers() > 0; }
  AttentionShape Attention() const;
  int64_t QkvWidth() const { return config_.QueryWidth() + 2 * config_.KvWidth(); }
  DType act() const { return memory_.act(); }

  const ModelConfig& config_;
  const KernelSweep& sweep_;
  Backend& backend_;
  KernelMemory memory_;
  std::mt19937 random_{1};
  std::vector<std::string> left_out_;
};

}  // namespace sdar
