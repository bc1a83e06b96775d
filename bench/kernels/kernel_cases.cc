// SPDX-License-Identifier: Apache-2.0
// The kernels that work row by row, and the dense products.
#include "bench/kernels/kernel_cases.h"

#include <algorithm>
#include <utility>

#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr int64_t kIdSets = 64;  // that embeddings are looked up by in turn

}  // namespace

std::vector<std::string> KernelNames() {
  return {"Embed",  "AddRmsNorm", "MatMul",  "QkNormRopeWrite", "BlockAttention",
          "SwiGlu", "Route",      "Experts", "SummarizeLogits"};
}

KernelCases::KernelCases(const ModelConfig& config, const KernelSweep& sweep, Backend& backend)
    : config_(config), sweep_(sweep), backend_(backend), memory_(backend) {}

absl::Status KernelCases::ForEach(Visit visit) {
  const std::pair<const char*, absl::Status (KernelCases::*)(Visit)> families[] = {
      {"Embed", &KernelCases::Embed},
      {"AddRmsNorm", &KernelCases::AddRmsNorm},
      {"MatMul", &KernelCases::MatMuls},
      {"QkNormRopeWrite", &KernelCases::QkNormRopeWrite},
      {"BlockAttention", &KernelCases::BlockAttention},
      {"SwiGlu", &KernelCases::SwiGlu},
      {"Route", &KernelCases::Route},
      {"Experts", &KernelCases::Experts},
      {"SummarizeLogits", &KernelCases::SummarizeLogits}};
  for (const auto& [name, family] : families) {
    if (sweep_.Wants(name)) SDAR_RETURN_IF_ERROR((this->*family)(visit));
  }
  return absl::OkStatus();
}

absl::Status KernelCases::Embed(Visit visit) {
  const int64_t hidden = config_.hidden_size;
  const int64_t row_bytes = hidden * static_cast<int64_t>(SizeOf(act()));
  const int64_t table_rows =
      std::clamp<int64_t>(sweep_.cold_bytes / row_bytes, 1, config_.vocab_size);
  SDAR_ASSIGN_OR_RETURN(const OwnedMatrix table, memory_.RandomMatrix(table_rows, hidden, act()));
  for (int64_t rows : sweep_.rows) {
    SDAR_ASSIGN_OR_RETURN(const OwnedMatrix out, memory_.Matrix(rows, hidden, DType::kFloat32));
    std::uniform_int_distribution<int32_t> any(0, static_cast<int32_t>(table_rows - 1));
    std::vector<int32_t> ids(static_cast<size_t>(kIdSets * rows));
    for (int32_t& id : ids) id = any(random_);
    SDAR_ASSIGN_OR_RETURN(const DeviceBuffer device_ids, memory_.Upload(ids));
    const auto run = [&](int64_t call) {
      backend_.Run(op::Embed{table.view, 0,
                             static_cast<const int32_t*>(device_ids.data()) + call % kIdSets * rows,
                             out.view});
    };
    SDAR_RETURN_IF_ERROR(visit({"Embed", "", rows, EmbedWork(rows, hidden, act()), run}));
  }
  return absl::OkStatus();
}

absl::Status KernelCases::AddRmsNorm(Visit visit) {
  const int64_t hidden = config_.hidden_size;
  SDAR_ASSIGN_OR_RETURN(const OwnedMatrix weight, memory_.RandomMatrix(1, hidden, DType::kFloat32));
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  for (int64_t rows : sweep_.rows) {
    SDAR_ASSIGN_OR_RETURN(const OwnedMatrix residual,
                          memory_.RandomMatrix(rows, hidden, DType::kFloat32));
    SDAR_ASSIGN_OR_RETURN(const OwnedMatrix delta,
                          memory_.RandomMatrix(rows, hidden, DType::kFloat32));
    SDAR_ASSIGN_OR_RETURN(const OwnedMatrix out, memory_.Matrix(rows, hidden, act()));
    const auto run = [&](int64_t /*call*/) {
      backend_.Run(op::AddRmsNorm{delta.view, weight.view, eps, residual.view, out.view});
    };
    SDAR_RETURN_IF_ERROR(visit({"AddRmsNorm", "", rows, AddRmsNormWork(rows, hidden, act()), run}));
  }
  return absl::OkStatus();
}

absl::Status KernelCases::MatMuls(Visit visit) {
  const int64_t hidden = config_.hidden_size;
  SDAR_RETURN_IF_ERROR(MatMul("qkv", hidden, QkvWidth(), visit));
  SDAR_RETURN_IF_ERROR(MatMul("o", config_.QueryWidth(), hidden, visit));
  if (HasDense()) {
    SDAR_RETURN_IF_ERROR(MatMul("gate_up", hidden, 2 * config_.intermediate_size, visit));
    SDAR_RETURN_IF_ERROR(MatMul("down", config_.intermediate_size, hidden, visit));
  }
  if (HasExperts()) SDAR_RETURN_IF_ERROR(MatMul("router", hidden, config_.num_experts, visit));
  return MatMul("lm_head", hidden, config_.vocab_size, visit);
}

absl::Status KernelCases::MatMul(absl::string_view name, int64_t cols, int64_t outputs,
                                 Visit visit) {
  SDAR_ASSIGN_OR_RETURN(const std::vector<PackedWeight> weights,
                        memory_.RandomWeights(outputs, cols, sweep_.cold_bytes));
  for (int64_t rows : sweep_.rows) {
    SDAR_ASSIGN_OR_RETURN(const OwnedMatrix x, memory_.RandomMatrix(rows, cols, act()));
    SDAR_ASSIGN_OR_RETURN(const OwnedMatrix out, memory_.Matrix(rows, outputs, DType::kFloat32));
    const auto run = [&](int64_t call) {
      backend_.Run(
          op::MatMul{weights[static_cast<size_t>(call) % weights.size()], x.view, out.view});
    };
    SDAR_RETURN_IF_ERROR(
        visit({"MatMul", std::string(name), rows, MatMulWork(rows, cols, outputs, act()), run}));
  }
  return absl::OkStatus();
}

absl::Status KernelCases::SwiGlu(Visit visit) {
  if (!HasDense()) return absl::OkStatus();
  const int64_t width = config_.intermediate_size;
  for (int64_t rows : sweep_.rows) {
    SDAR_ASSIGN_OR_RETURN(const OwnedMatrix gate_up,
                          memory_.RandomMatrix(rows, 2 * width, DType::kFloat32));
    SDAR_ASSIGN_OR_RETURN(const OwnedMatrix out, memory_.Matrix(rows, width, act()));
    const auto run = [&](int64_t /*call*/) { backend_.Run(op::SwiGlu{gate_up.view, out.view}); };
    SDAR_RETURN_IF_ERROR(visit({"SwiGlu", "", rows, SwiGluWork(rows, width, act()), run}));
  }
  return absl::OkStatus();
}

// Every row is drawn from, which is the most that one costs. The call waits for the device, so this
// holds what a wait and a copy to the host take as well.
absl::Status KernelCases::SummarizeLogits(Visit visit) {
  for (int64_t rows : sweep_.rows) {
    SDAR_ASSIGN_OR_RETURN(const OwnedMatrix logits,
                          memory_.RandomMatrix(rows, config_.vocab_size, DType::kFloat32));
    std::vector<LogitRowSpec> specs(static_cast<size_t>(rows));
    for (size_t i = 0; i < specs.size(); ++i) {
      specs[i].draws = true;
      specs[i].draw_key = {i, 0, 0};
    }
    std::vector<LogitSummary> summaries(specs.size());
    LogitSpecs all;
    all.rows = specs;
    const auto run = [&](int64_t /*call*/) {
      backend_.Run(op::SummarizeLogits{all, logits.view, absl::MakeSpan(summaries)});
    };
    SDAR_RETURN_IF_ERROR(visit(
        {"SummarizeLogits", "", rows, SummarizeLogitsWork(rows, config_.vocab_size), run, true}));
  }
  return absl::OkStatus();
}

}  // namespace sdar
