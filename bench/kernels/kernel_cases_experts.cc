// SPDX-License-Identifier: Apache-2.0
// Routing, and the experts under three ways of it.
#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "bench/kernels/kernel_cases.h"
#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr int64_t kRoutings = 16;  // that take turns, so that few rows do not find their experts
                                   // in a cache

const char* NameOfRouting(RoutingKind kind) {
  switch (kind) {
    case RoutingKind::kUniform:
      return "uniform";
    case RoutingKind::kSkewed:
      return "skewed";
    case RoutingKind::kHot:
      return "hot";
  }
  return "";
}

// k distinct ids with the likelihoods of `weights`, by the largest of log(weight) + Gumbel.
void AppendDrawn(const std::vector<double>& weights, int64_t k, std::mt19937& random,
                 std::vector<int32_t>& out) {
  std::extreme_value_distribution<double> gumbel;
  std::vector<std::pair<double, int32_t>> order;
  for (size_t e = 0; e < weights.size(); ++e) {
    order.emplace_back(-std::log(weights[e]) - gumbel(random), static_cast<int32_t>(e));
  }
  std::partial_sort(order.begin(), order.begin() + k, order.end());
  for (int64_t i = 0; i < k; ++i) out.push_back(order[static_cast<size_t>(i)].second);
}

}  // namespace

std::vector<int32_t> MakeRouting(RoutingKind kind, int64_t rows, int64_t k, int64_t experts,
                                 int64_t turn, std::mt19937& random) {
  std::vector<double> weights(static_cast<size_t>(experts), 1.0);
  if (kind == RoutingKind::kSkewed) {
    for (int64_t rank = 0; rank < experts; ++rank) {
      weights[static_cast<size_t>((rank + turn * k) % experts)] = 1 / static_cast<double>(rank + 1);
    }
  }
  std::vector<int32_t> ids;
  for (int64_t row = 0; row < rows; ++row) {
    if (kind != RoutingKind::kHot) {
      AppendDrawn(weights, k, random, ids);
      continue;
    }
    for (int64_t i = 0; i < k; ++i) ids.push_back(static_cast<int32_t>((turn * k + i) % experts));
  }
  return ids;
}

absl::Status KernelCases::Route(Visit visit) {
  if (!HasExperts()) return absl::OkStatus();
  const int64_t experts = config_.num_experts, k = config_.num_experts_per_token;
  for (int64_t rows : sweep_.rows) {
    SDAR_ASSIGN_OR_RETURN(const OwnedMatrix logits,
                          memory_.RandomMatrix(rows, experts, DType::kFloat32));
    SDAR_ASSIGN_OR_RETURN(const DeviceBuffer ids,
                          memory_.Upload(std::vector<int32_t>(static_cast<size_t>(rows * k))));
    SDAR_ASSIGN_OR_RETURN(const OwnedMatrix weights, memory_.Matrix(rows, k, DType::kFloat32));
    const auto run = [&](int64_t /*call*/) {
      backend_.Run(op::Route{logits.view, k, config_.norm_topk_prob,
                             static_cast<int32_t*>(ids.data()), weights.view.Row<float>(0)});
    };
    SDAR_RETURN_IF_ERROR(visit({"Route", "", rows, RouteWork(rows, experts, k), run}));
  }
  return absl::OkStatus();
}

// One layer's experts: 1.2 GB of 30b-a3b.
absl::Status KernelCases::Experts(Visit visit) {
  if (!HasExperts()) return absl::OkStatus();
  const int64_t hidden = config_.hidden_size, width = config_.moe_intermediate_size;
  ExpertWeights weights;
  for (int e = 0; e < config_.num_experts; ++e) {
    SDAR_ASSIGN_OR_RETURN(PackedWeight gate_up, memory_.RandomWeight(2 * width, hidden));
    SDAR_ASSIGN_OR_RETURN(PackedWeight down, memory_.RandomWeight(hidden, width));
    weights.gate_up.push_back(std::move(gate_up));
    weights.down.push_back(std::move(down));
  }
  for (RoutingKind kind : {RoutingKind::kUniform, RoutingKind::kSkewed, RoutingKind::kHot}) {
    for (int64_t rows : sweep_.rows) {
      SDAR_RETURN_IF_ERROR(RunExperts(weights, kind, rows, visit));
    }
  }
  return absl::OkStatus();
}

absl::Status KernelCases::RunExperts(const ExpertWeights& weights, RoutingKind kind, int64_t rows,
                                     Visit visit) {
  const int64_t hidden = config_.hidden_size, experts = config_.num_experts;
  const int64_t k = config_.num_experts_per_token, slots = rows * k;
  std::vector<int32_t> ids;
  double touched = 0;
  for (int64_t turn = 0; turn < kRoutings; ++turn) {
    const std::vector<int32_t> one = MakeRouting(kind, rows, k, experts, turn, random_);
    touched += static_cast<double>(std::set<int32_t>(one.begin(), one.end()).size()) / kRoutings;
    ids.insert(ids.end(), one.begin(), one.end());
  }
  SDAR_ASSIGN_OR_RETURN(const DeviceBuffer device_ids, memory_.Upload(ids));
  SDAR_ASSIGN_OR_RETURN(
      const DeviceBuffer device_weights,
      memory_.Upload(std::vector<float>(static_cast<size_t>(slots), 1 / static_cast<float>(k))));
  SDAR_ASSIGN_OR_RETURN(const OwnedMatrix x, memory_.RandomMatrix(rows, hidden, act()));
  SDAR_ASSIGN_OR_RETURN(const OwnedMatrix out, memory_.Matrix(rows, hidden, DType::kFloat32));
  const auto run = [&](int64_t call) {
    backend_.Run(
        op::Experts{weights, x.view, k,
                    static_cast<const int32_t*>(device_ids.data()) + call % kRoutings * slots,
                    static_cast<const float*>(device_weights.data()), out.view});
  };
  const ExpertsCase which = {rows, k, touched, hidden, config_.moe_intermediate_size};
  return visit({"Experts", NameOfRouting(kind), rows, ExpertsWork(which, act()), run});
}

}  // namespace sdar
