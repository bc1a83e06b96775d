// SPDX-License-Identifier: Apache-2.0
// The experts of a sparse layer over the ranks: who computes which token, and how results come
// back. Both exchanges give the same bits: a rank's experts are added in slot order, then ranks in
// rank order.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "kernels/backend.h"
#include "parallel/communicator.h"
#include "runtime/checkpoint/model_config.h"

namespace sdar {

enum class MoeExchange {
  kAuto,       // all-reduce for small steps, all-to-all for large ones
  kAllReduce,  // every rank routes all tokens, computes its experts' share, and the shares are
               // summed
  kAllToAll,   // every rank routes its token slice and sends each token to the ranks of its experts
};

// Reads "auto", "allreduce" or "alltoall".
absl::StatusOr<MoeExchange> ParseMoeExchange(absl::string_view name);

// Runs the experts of sparse layers for one rank of a group.
class ExpertExchange {
 public:
  // Requires: backend and communicators outlive this. max_rows bounds x.rows of Run.
  static absl::StatusOr<ExpertExchange> Create(const ModelConfig& config, MoeExchange exchange,
                                               int64_t max_rows, Backend& backend,
                                               const GroupCommunicators& group);

  // Whether steps of this many rows are run in a way that Backend::Repeat can capture: all but
  // those whose messages are as long as what was routed.
  bool CanCapture(int64_t rows) const { return !IsLargeAllToAll(rows); }

  // out = the sparse MLP of x, summed over all ranks. x: [rows, hidden] act, the same on every
  // rank; out: [rows, hidden] float32. captured: only calls that Backend::Repeat can capture; then
  // an all-to-all carries every row's share, whether it was routed to the rank or not. Requires:
  // CanCapture(x.rows) where captured. Errors: the communicator's.
  absl::Status Run(const PackedWeight& router, const ExpertWeights& experts, const TensorView& x,
                   bool captured, const TensorView& out);

 private:
  ExpertExchange(const ModelConfig& config, MoeExchange exchange, Backend& backend,
                 const GroupCommunicators& group)
      : config_(config), exchange_(exchange), backend_(&backend), group_(group) {}

  // What this rank sends: for each rank, the rows of its token slice that meet an expert there.
  struct Dispatch {
    std::vector<int32_t> rows;         // all ranks' rows one after the other, relative to the slice
    std::vector<int64_t> send_counts;  // rows per rank
    std::vector<int64_t> recv_counts;
    int64_t recv_rows = 0;
  };

  bool IsAllToAll(int64_t rows) const;
  bool IsLargeAllToAll(int64_t rows) const;
  int32_t* Ids() const { return static_cast<int32_t*>(routes_.data()); }
  // Of `rows` rows, right after their ids.
  float* Weights(int64_t rows) const {
    return static_cast<float*>(routes_.data()) + rows * config_.num_experts_per_token;
  }
  void RouteRows(const PackedWeight& router, const TensorView& x);
  void RunExperts(const PackedWeight& router, const ExpertWeights& experts, const TensorView& x,
                  const TensorView& out);
  absl::Status RunAllReduce(const PackedWeight& router, const ExpertWeights& experts,
                            const TensorView& x, const TensorView& out);
  absl::Status RunAllToAll(const PackedWeight& router, const ExpertWeights& experts,
                           const TensorView& x, const TensorView& out);
  absl::Status RunWholeAllToAll(const PackedWeight& router, const ExpertWeights& experts,
                                const TensorView& x, const TensorView& out);
  absl::StatusOr<Dispatch> PlanDispatch(int64_t slice_rows);
  absl::Status SendRows(const Dispatch& dispatch, const TensorView& slice);
  absl::Status ReturnRows(const Dispatch& dispatch, const TensorView& slice_out);

  ModelConfig config_;
  MoeExchange exchange_;
  Backend* backend_;
  GroupCommunicators group_;

  DeviceBuffer logits_;  // [rows, experts] float32
  DeviceBuffer routes_;  // [rows, k] int32 ids, then [rows, k] float32 weights
  // All-to-all only.
  DeviceBuffer row_index_;              // [rows * ranks] int32
  DeviceBuffer send_rows_, recv_rows_;  // [rows * ranks, hidden] act; [all ranks' rows, hidden] act
  DeviceBuffer recv_ids_, recv_weights_;  // [all ranks' rows, k]
  DeviceBuffer results_, returned_;       // [.., hidden] float32
  DeviceBuffer own_rows_;                 // [slice rows] int32: 0, 1, 2 ...
  std::vector<int32_t> host_routes_;      // [slice rows, 2k]: ids, then the weights' bits
};

}  // namespace sdar
