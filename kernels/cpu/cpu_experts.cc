// SPDX-License-Identifier: Apache-2.0
// Mixture-of-experts calls of the CPU backend: routing, and the experts grouped so that each weight
// is read once.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/cpu/cpu_backend.h"

namespace sdar {
namespace {

// What a router without a number gives an expert.
constexpr float kNoWeight = -std::numeric_limits<float>::infinity();

// Which (row, slot) pairs go to which local expert.
struct Grouping {
  std::vector<int32_t> first;  // [experts + 1] where each expert's assignments start
  std::vector<int32_t> rows;   // [assignments] source row
  std::vector<int32_t>
      index;  // [rows * k] assignment of a slot, -1 for an expert that lives elsewhere
};

Grouping GroupByExpert(const ExpertWeights& experts, int64_t num_rows, int64_t k,
                       const int32_t* ids) {
  const auto num_experts = static_cast<int64_t>(experts.gate_up.size());
  const auto slots = static_cast<size_t>(num_rows * k);
  Grouping g;
  g.first.assign(static_cast<size_t>(num_experts) + 1, 0);
  g.index.assign(slots, -1);
  const auto local = [&](size_t slot) { return ids[slot] - experts.first_expert; };
  for (size_t s = 0; s < slots; ++s) {
    if (local(s) >= 0 && local(s) < num_experts) ++g.first[static_cast<size_t>(local(s)) + 1];
  }
  std::partial_sum(g.first.begin(), g.first.end(), g.first.begin());
  g.rows.resize(static_cast<size_t>(g.first.back()));
  std::vector<int32_t> next(g.first.begin(), g.first.end() - 1);
  for (size_t s = 0; s < slots; ++s) {
    if (local(s) < 0 || local(s) >= num_experts) continue;
    const int32_t at = next[static_cast<size_t>(local(s))]++;
    g.index[s] = at;
    g.rows[static_cast<size_t>(at)] = static_cast<int32_t>(s / static_cast<size_t>(k));
  }
  return g;
}

float* RoomFor(int64_t floats, std::vector<float>& scratch) {
  const auto size = static_cast<size_t>(floats);
  if (scratch.size() < size) scratch.resize(size);
  return scratch.data();
}

TensorView RowsOf(const TensorView& x, int64_t first, int64_t count) {
  TensorView part = x;
  part.data =
      static_cast<char*>(x.data) + first * x.row_stride * static_cast<int64_t>(SizeOf(x.dtype));
  part.rows = count;
  return part;
}

// One matmul job per expert that has rows.
std::vector<MatMulJob> JobsFor(const Grouping& g, const std::vector<PackedWeight>& weights,
                               const TensorView& x, const TensorView& out) {
  std::vector<MatMulJob> jobs;
  for (size_t e = 0; e < weights.size(); ++e) {
    const int64_t count = g.first[e + 1] - g.first[e];
    if (count == 0) continue;
    jobs.push_back({&weights[e], RowsOf(x, g.first[e], count), RowsOf(out, g.first[e], count)});
  }
  return jobs;
}

}  // namespace

void CpuBackend::Execute(const op::Route& call) {
  const TensorView& logits = call.logits;
  const int64_t k = call.k;
  pool_.Run(logits.rows, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> order(static_cast<size_t>(logits.cols));
    for (int64_t i = begin; i < end; ++i) {
      const float* z = logits.Row<float>(i);
      std::iota(order.begin(), order.end(), 0);
      const auto value = [z](int32_t e) { return std::isnan(z[e]) ? kNoWeight : z[e]; };
      std::partial_sort(order.begin(), order.begin() + k, order.end(),
                        [value](int32_t a, int32_t b) {
                          return value(a) != value(b) ? value(a) > value(b) : a < b;
                        });
      const float max = z[order[0]];
      float total = 0;
      for (int64_t e = 0; e < logits.cols; ++e) total += std::exp(z[e] - max);
      float chosen = 0;
      for (int64_t s = 0; s < k; ++s) {
        call.ids[i * k + s] = order[static_cast<size_t>(s)];
        call.weights[i * k + s] = std::exp(z[order[static_cast<size_t>(s)]] - max) / total;
        chosen += call.weights[i * k + s];
      }
      for (int64_t s = 0; call.renormalize && s < k; ++s) call.weights[i * k + s] /= chosen;
    }
  });
}

void CpuBackend::Execute(const op::Experts& call) {
  const ExpertWeights& experts = call.experts;
  const TensorView& x = call.x;
  const Grouping g = GroupByExpert(experts, x.rows, call.k, call.ids);
  const auto count = static_cast<int64_t>(g.rows.size());
  const int64_t hidden = x.cols;
  const int64_t width = experts.down.empty() ? 0 : experts.down[0].cols;
  ExpertScratch& s = expert_scratch_;
  float* acts = RoomFor(count * std::max(hidden, width), s.gathered);
  const TensorView gathered = MakeView(acts, x.dtype, count, hidden);
  const TensorView inner = MakeView(acts, x.dtype, count, width);
  const TensorView gate_up =
      MakeView(RoomFor(count * 2 * width, s.gate_up), DType::kFloat32, count, 2 * width);
  const TensorView result =
      MakeView(RoomFor(count * hidden, s.results), DType::kFloat32, count, hidden);

  Execute(op::GatherRows{x, g.rows.data(), gathered});
  matmuls_.Run(JobsFor(g, experts.gate_up, gathered, gate_up));
  Execute(op::SwiGlu{gate_up, inner});
  matmuls_.Run(JobsFor(g, experts.down, inner, result));
  pool_.Run(call.out.rows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::fill_n(call.out.Row<float>(i), hidden, 0.0f);
      for (int64_t slot = i * call.k; slot < (i + 1) * call.k; ++slot) {
        const int32_t at = g.index[static_cast<size_t>(slot)];
        if (at >= 0)
          kernels_.add_scaled(result.Row<float>(at), call.weights[slot], hidden,
                              call.out.Row<float>(i));
      }
    }
  });
}

}  // namespace sdar
