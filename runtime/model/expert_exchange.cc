// SPDX-License-Identifier: Apache-2.0
#include "runtime/model/expert_exchange.h"

#include <cstring>
#include <numeric>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/checkpoint/shard_plan.h"

namespace sdar {
namespace {

// Steps of at least this many rows use the all-to-all under kAuto: below it latency decides, and
// the all-reduce has two messages per layer where the all-to-all has five.
constexpr int64_t kAutoAllToAllRows = 256;

std::vector<int64_t> Times(absl::Span<const int64_t> counts, int64_t factor) {
  std::vector<int64_t> out(counts.begin(), counts.end());
  for (int64_t& n : out) n *= factor;
  return out;
}

}  // namespace

absl::StatusOr<MoeExchange> ParseMoeExchange(absl::string_view name) {
  if (name == "auto") return MoeExchange::kAuto;
  if (name == "allreduce") return MoeExchange::kAllReduce;
  if (name == "alltoall") return MoeExchange::kAllToAll;
  return absl::InvalidArgumentError(
      absl::StrCat("moe-exchange '", name, "': expected auto, allreduce or alltoall"));
}

absl::StatusOr<ExpertExchange> ExpertExchange::Create(const ModelConfig& config,
                                                      MoeExchange exchange, int64_t max_rows,
                                                      Backend& backend,
                                                      const GroupCommunicators& group) {
  ExpertExchange out(config, exchange, backend, group);
  if (config.NumSparseLayers() == 0) return out;
  const auto allocate = [&](DeviceBuffer& buffer, int64_t rows, int64_t cols,
                            size_t element) -> absl::Status {
    SDAR_ASSIGN_OR_RETURN(buffer, backend.Allocate(static_cast<size_t>(rows * cols) * element));
    return absl::OkStatus();
  };
  const int64_t k = config.num_experts_per_token;
  const int64_t hidden = config.hidden_size;
  SDAR_RETURN_IF_ERROR(allocate(out.logits_, max_rows, config.num_experts, sizeof(float)));
  SDAR_RETURN_IF_ERROR(allocate(out.routes_, max_rows, 2 * k, sizeof(int32_t)));
  if (group.tensors->size() == 1 || exchange == MoeExchange::kAllReduce) return out;
  // A slice's rows go to every rank at most, and all ranks' slices together are the step's rows.
  const int64_t sent = max_rows + group.tensors->size();
  const size_t act = SizeOf(backend.act_dtype());
  SDAR_RETURN_IF_ERROR(allocate(out.row_index_, sent, 1, sizeof(int32_t)));
  SDAR_RETURN_IF_ERROR(allocate(out.send_rows_, sent, hidden, act));
  SDAR_RETURN_IF_ERROR(allocate(out.recv_rows_, max_rows, hidden, act));
  SDAR_RETURN_IF_ERROR(allocate(out.recv_ids_, max_rows, k, sizeof(int32_t)));
  SDAR_RETURN_IF_ERROR(allocate(out.recv_weights_, max_rows, k, sizeof(float)));
  SDAR_RETURN_IF_ERROR(allocate(out.results_, max_rows, hidden, sizeof(float)));
  SDAR_RETURN_IF_ERROR(allocate(out.returned_, sent, hidden, sizeof(float)));
  std::vector<int32_t> own_rows(static_cast<size_t>(max_rows / group.tensors->size() + 1));
  std::iota(own_rows.begin(), own_rows.end(), 0);
  SDAR_RETURN_IF_ERROR(
      allocate(out.own_rows_, static_cast<int64_t>(own_rows.size()), 1, sizeof(int32_t)));
  backend.CopyToDevice(own_rows.data(), out.own_rows_.size_bytes(), out.own_rows_.data());
  return out;
}

bool ExpertExchange::IsAllToAll(int64_t rows) const {
  return group_.tensors->size() > 1 &&
         (exchange_ == MoeExchange::kAllToAll ||
          (exchange_ == MoeExchange::kAuto && rows >= kAutoAllToAllRows));
}

bool ExpertExchange::IsLargeAllToAll(int64_t rows) const {
  return rows >= kAutoAllToAllRows && IsAllToAll(rows);
}

absl::Status ExpertExchange::Run(const PackedWeight& router, const ExpertWeights& experts,
                                 const TensorView& x, bool captured, const TensorView& out) {
  SDAR_CHECK(!captured || CanCapture(x.rows));
  if (!IsAllToAll(x.rows)) return RunAllReduce(router, experts, x, out);
  return captured ? RunWholeAllToAll(router, experts, x, out)
                  : RunAllToAll(router, experts, x, out);
}

void ExpertExchange::RouteRows(const PackedWeight& router, const TensorView& x) {
  const TensorView logits = MakeView(logits_.data(), DType::kFloat32, x.rows, config_.num_experts);
  backend_->Run(op::MatMul{router, x, logits});
  backend_->Run(op::Route{logits, config_.num_experts_per_token, config_.norm_topk_prob, Ids(),
                          Weights(x.rows)});
}

// out = what this rank's experts add to x.
void ExpertExchange::RunExperts(const PackedWeight& router, const ExpertWeights& experts,
                                const TensorView& x, const TensorView& out) {
  RouteRows(router, x);
  backend_->Run(
      op::Experts{experts, x, config_.num_experts_per_token, Ids(), Weights(x.rows), out});
}

absl::Status ExpertExchange::RunAllReduce(const PackedWeight& router, const ExpertWeights& experts,
                                          const TensorView& x, const TensorView& out) {
  RunExperts(router, experts, x, out);
  return group_.tensors->AllReduceSum(out.Row<float>(0), out.rows * out.cols);
}

// Every rank has all rows, so it computes its experts' share of each and sends that to the row's
// owner: messages whose size does not depend on routing.
absl::Status ExpertExchange::RunWholeAllToAll(const PackedWeight& router,
                                              const ExpertWeights& experts, const TensorView& x,
                                              const TensorView& out) {
  const int ranks = group_.tensors->size();
  const int64_t hidden = config_.hidden_size;
  const int64_t row_bytes = hidden * static_cast<int64_t>(sizeof(float));
  const TensorView shares = MakeView(results_.data(), DType::kFloat32, x.rows, hidden);
  RunExperts(router, experts, x, shares);
  const Range mine = SplitEvenly(x.rows, ranks, group_.tensors->rank());
  std::vector<int64_t> slice_bytes;
  for (int r = 0; r < ranks; ++r) {
    slice_bytes.push_back(SplitEvenly(x.rows, ranks, r).size() * row_bytes);
  }
  if (x.rows % ranks == 0) {
    SDAR_RETURN_IF_ERROR(
        group_.tensors->AllToAllEqual(shares.data, slice_bytes[0], returned_.data()));
  } else {
    const std::vector<int64_t> my_bytes(slice_bytes.size(), mine.size() * row_bytes);
    SDAR_RETURN_IF_ERROR(
        group_.tensors->AllToAll(shares.data, slice_bytes, returned_.data(), my_bytes));
  }

  const TensorView slice = MakeView(results_.data(), DType::kFloat32, mine.size(), hidden);
  backend_->Run(op::Clear{slice});
  for (int r = 0; r < ranks; ++r) {
    float* from = static_cast<float*>(returned_.data()) + r * mine.size() * hidden;
    backend_->Run(op::ScatterAddRows{MakeView(from, DType::kFloat32, mine.size(), hidden),
                                     static_cast<const int32_t*>(own_rows_.data()), slice});
  }
  return group_.tensors->AllGather(slice.data, slice_bytes, out.data);
}

absl::Status ExpertExchange::RunAllToAll(const PackedWeight& router, const ExpertWeights& experts,
                                         const TensorView& x, const TensorView& out) {
  const int ranks = group_.tensors->size();
  const int64_t hidden = config_.hidden_size;
  const Range mine = SplitEvenly(x.rows, ranks, group_.tensors->rank());
  TensorView slice = x;
  slice.data = static_cast<char*>(x.data) +
               mine.begin * x.row_stride * static_cast<int64_t>(SizeOf(x.dtype));
  slice.rows = mine.size();
  RouteRows(router, slice);
  SDAR_ASSIGN_OR_RETURN(const Dispatch dispatch, PlanDispatch(slice.rows));
  SDAR_RETURN_IF_ERROR(SendRows(dispatch, slice));
  backend_->Run(
      op::Experts{experts, MakeView(recv_rows_.data(), x.dtype, dispatch.recv_rows, hidden),
                  config_.num_experts_per_token, static_cast<const int32_t*>(recv_ids_.data()),
                  static_cast<const float*>(recv_weights_.data()),
                  MakeView(results_.data(), DType::kFloat32, dispatch.recv_rows, hidden)});

  // results_ is free again once the rows are back: the combined slice goes there.
  SDAR_RETURN_IF_ERROR(
      ReturnRows(dispatch, MakeView(results_.data(), DType::kFloat32, slice.rows, hidden)));
  std::vector<int64_t> slice_bytes;
  for (int r = 0; r < ranks; ++r) {
    slice_bytes.push_back(SplitEvenly(x.rows, ranks, r).size() * hidden *
                          static_cast<int64_t>(sizeof(float)));
  }
  return group_.tensors->AllGather(results_.data(), slice_bytes, out.data);
}

absl::StatusOr<ExpertExchange::Dispatch> ExpertExchange::PlanDispatch(int64_t slice_rows) {
  const int ranks = group_.tensors->size();
  const auto k = static_cast<size_t>(config_.num_experts_per_token);
  const auto slots = static_cast<size_t>(slice_rows) * k;
  std::vector<int32_t> routes(2 * slots);  // ids, then the weights' bits
  backend_->CopyToHost(routes_.data(), routes.size() * sizeof(int32_t), routes.data());

  std::vector<std::vector<int32_t>> rows_for(static_cast<size_t>(ranks));
  host_routes_.resize(2 * slots);
  for (int32_t row = 0; row < slice_rows; ++row) {
    const size_t first = static_cast<size_t>(row) * k;
    std::memcpy(&host_routes_[2 * first], &routes[first], k * sizeof(int32_t));
    std::memcpy(&host_routes_[2 * first + k], &routes[slots + first], k * sizeof(int32_t));
    for (size_t s = first; s < first + k; ++s) {
      auto& rows = rows_for[static_cast<size_t>(PartOf(config_.num_experts, ranks, routes[s]))];
      if (rows.empty() || rows.back() != row) rows.push_back(row);
    }
  }
  Dispatch dispatch;
  for (const auto& rows : rows_for) {
    dispatch.rows.insert(dispatch.rows.end(), rows.begin(), rows.end());
    dispatch.send_counts.push_back(static_cast<int64_t>(rows.size()));
  }
  dispatch.recv_counts.resize(static_cast<size_t>(ranks));
  const std::vector<int64_t> one(static_cast<size_t>(ranks), sizeof(int64_t));
  SDAR_RETURN_IF_ERROR(
      group_.control->AllToAll(dispatch.send_counts.data(), one, dispatch.recv_counts.data(), one));
  for (int64_t n : dispatch.recv_counts) dispatch.recv_rows += n;
  return dispatch;
}

// Sends rows with their routes; leaves recv_rows_, recv_ids_ and recv_weights_ filled.
absl::Status ExpertExchange::SendRows(const Dispatch& dispatch, const TensorView& slice) {
  const auto sent = static_cast<int64_t>(dispatch.rows.size());
  const int64_t hidden = config_.hidden_size;
  const auto k = static_cast<size_t>(config_.num_experts_per_token);
  backend_->CopyToDevice(dispatch.rows.data(), dispatch.rows.size() * sizeof(int32_t),
                         row_index_.data());
  backend_->Run(op::GatherRows{slice, static_cast<const int32_t*>(row_index_.data()),
                               MakeView(send_rows_.data(), slice.dtype, sent, hidden)});
  const int64_t row_bytes = hidden * static_cast<int64_t>(SizeOf(slice.dtype));
  SDAR_RETURN_IF_ERROR(
      group_.tensors->AllToAll(send_rows_.data(), Times(dispatch.send_counts, row_bytes),
                               recv_rows_.data(), Times(dispatch.recv_counts, row_bytes)));

  std::vector<int32_t> routes(2 * k * dispatch.rows.size());
  for (size_t i = 0; i < dispatch.rows.size(); ++i) {
    std::memcpy(&routes[2 * k * i], &host_routes_[2 * k * static_cast<size_t>(dispatch.rows[i])],
                2 * k * sizeof(int32_t));
  }
  std::vector<int32_t> received(2 * k * static_cast<size_t>(dispatch.recv_rows));
  const auto route_bytes = static_cast<int64_t>(2 * k * sizeof(int32_t));
  SDAR_RETURN_IF_ERROR(
      group_.control->AllToAll(routes.data(), Times(dispatch.send_counts, route_bytes),
                               received.data(), Times(dispatch.recv_counts, route_bytes)));
  std::vector<int32_t> ids(received.size() / 2);
  std::vector<int32_t> weight_bits(received.size() / 2);
  for (size_t i = 0; i < static_cast<size_t>(dispatch.recv_rows); ++i) {
    std::memcpy(&ids[i * k], &received[2 * i * k], k * sizeof(int32_t));
    std::memcpy(&weight_bits[i * k], &received[2 * i * k + k], k * sizeof(int32_t));
  }
  backend_->CopyToDevice(ids.data(), ids.size() * sizeof(int32_t), recv_ids_.data());
  backend_->CopyToDevice(weight_bits.data(), weight_bits.size() * sizeof(float),
                         recv_weights_.data());
  return absl::OkStatus();
}

// Sends results_ back to the rows' owners and adds them up, ranks in rank order.
absl::Status ExpertExchange::ReturnRows(const Dispatch& dispatch, const TensorView& slice_out) {
  const int64_t row_bytes = config_.hidden_size * static_cast<int64_t>(sizeof(float));
  SDAR_RETURN_IF_ERROR(
      group_.tensors->AllToAll(results_.data(), Times(dispatch.recv_counts, row_bytes),
                               returned_.data(), Times(dispatch.send_counts, row_bytes)));
  backend_->Run(op::Clear{slice_out});
  // dispatch.rows lists rank 0's rows first, so one pass in order adds ranks in rank order.
  backend_->Run(
      op::ScatterAddRows{MakeView(returned_.data(), DType::kFloat32,
                                  static_cast<int64_t>(dispatch.rows.size()), config_.hidden_size),
                         static_cast<const int32_t*>(row_index_.data()), slice_out});
  return absl::OkStatus();
}

}  // namespace sdar
