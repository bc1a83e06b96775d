// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/logit_reduction.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace sdar {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
// No Gumbel variate of a 32-bit word exceeds this: -ln(-ln(1 - 2^-33)) = 22.87.
constexpr float kLargestGumbel = 22.9f;
// Ids that are looked at together: one largest z decides whether they can matter.
constexpr size_t kDrawChunk = 1024;
constexpr size_t kCandidateChunk = 256;

// The row as a mapping from vocabulary ids, of which it holds a contiguous part.
class ShardRow {
 public:
  ShardRow(int64_t first_id, absl::Span<float> z) : first_id_(first_id), z_(z) {}

  // The value of `id`, or null when it lies in another shard.
  float* Find(TokenId id) const {
    const int64_t index = int64_t{id} - first_id_;
    return index >= 0 && index < static_cast<int64_t>(z_.size()) ? &z_[static_cast<size_t>(index)]
                                                                 : nullptr;
  }
  TokenId IdAt(size_t index) const {
    return static_cast<TokenId>(first_id_ + static_cast<int64_t>(index));
  }
  absl::Span<float> z() const { return z_; }

 private:
  int64_t first_id_;
  absl::Span<float> z_;
};

void ApplySpec(const LogitRowSpec& spec, const ShardRow& row) {
  if (spec.repetition_penalty != 1) {
    for (TokenId id : spec.repeated) {
      if (float* z = row.Find(id)) {
        *z = *z < 0 ? *z * spec.repetition_penalty : *z / spec.repetition_penalty;
      }
    }
  }
  for (const auto& [id, count] : spec.output_counts) {
    if (float* z = row.Find(id)) {
      *z -= spec.frequency_penalty * static_cast<float>(count) + spec.presence_penalty;
    }
  }
  for (const auto& [id, bias] : spec.bias) {
    if (float* z = row.Find(id)) *z += bias;
  }
  if (spec.inverse_temperature != 1) {
    for (float& z : row.z()) z *= spec.inverse_temperature;
  }
}

int32_t Forbid(absl::Span<const TokenId> ids, const ShardRow& row) {
  int32_t count = 0;
  for (TokenId id : ids) {
    float* z = row.Find(id);
    if (z == nullptr || *z == kMinusInfinity) continue;
    *z = kMinusInfinity;
    ++count;
  }
  return count;
}

// Forbids the ids whose bits are not set.
int32_t ForbidOthers(absl::Span<const uint64_t> allowed, const ShardRow& row) {
  int32_t count = 0;
  const absl::Span<float> z = row.z();
  for (size_t begin = 0; !allowed.empty() && begin < z.size();) {
    const auto first = static_cast<size_t>(row.IdAt(begin));
    const size_t n = std::min(64 - first % 64, z.size() - begin);
    const uint64_t in_row = (n == 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1) << first % 64;
    for (uint64_t others = ~allowed[first / 64] & in_row; others != 0; others &= others - 1) {
      float& value = z[begin + static_cast<size_t>(std::countr_zero(others)) - first % 64];
      if (value == kMinusInfinity) continue;
      value = kMinusInfinity;
      ++count;
    }
    begin += n;
  }
  return count;
}

// Keeps the kMaxCandidates first in the order of Precedes; the worst of a full heap is at its
// front.
void TakeCandidates(const SimdKernels& kernels, const ShardRow& row, LogitSummary& out) {
  const auto first = out.candidates.begin();
  float bar = kMinusInfinity;
  const auto take = [&](size_t i) {
    const float z = row.z()[i];
    if (!(z > bar)) return;  // ids ascend, so a tie with the bar comes later and loses
    if (out.num_candidates == kMaxCandidates) {
      std::pop_heap(first, first + kMaxCandidates, Precedes);
      --out.num_candidates;
    }
    out.candidates[static_cast<size_t>(out.num_candidates++)] = {row.IdAt(i), z};
    std::push_heap(first, first + out.num_candidates, Precedes);
    if (out.num_candidates == kMaxCandidates) bar = out.candidates[0].z;
  };
  for (size_t begin = 0; begin < row.z().size(); begin += kCandidateChunk) {
    const size_t end = std::min(begin + kCandidateChunk, row.z().size());
    const float max = kernels.max(row.z().data() + begin, static_cast<int64_t>(end - begin));
    if (!(max > bar)) continue;
    for (size_t i = begin; i < end; ++i) take(i);
  }
  std::sort(first, first + out.num_candidates, Precedes);
}

void Consider(TokenId id, float z, float value, LogitSummary& out) {
  const bool better = value > out.drawn_value || (value == out.drawn_value && id < out.drawn_id);
  if (out.drawn_id != kNoToken && !better) return;
  out.drawn_id = id;
  out.drawn_z = z;
  out.drawn_value = value;
}

// Words above this one stand for variates below `variate`: -ln(-ln(1 - v)) <= -ln(v). Rounded up
// amply: the sum of z and its variate is a float, too.
uint32_t LargestWordFor(float variate, float sum) {
  const float slack = 2e-3f + 1e-6f * std::abs(sum);
  const double v = std::exp(-static_cast<double>(variate - slack));
  // What is no number passes over nothing.
  return v < 1 ? static_cast<uint32_t>(v * 0x1p32) : std::numeric_limits<uint32_t>::max();
}

// The ids [begin, end) of the row, whose largest z is `max`.
void DrawChunk(const SimdKernels& kernels, const DrawKey& key, const ShardRow& row, size_t begin,
               size_t end, float max, LogitSummary& out) {
  const auto first_id = static_cast<uint32_t>(row.IdAt(begin));
  const uint32_t first_group = first_id / 4;
  const auto last_id = static_cast<uint32_t>(row.IdAt(end - 1));
  std::array<uint32_t, kDrawChunk + 8> words;
  kernels.draw_groups(key.seed, key.position, key.step, first_group,
                      int64_t{last_id / 4 - first_group + 1}, words.data());
  const uint32_t largest = LargestWordFor(out.drawn_value - max, out.drawn_value);
  const uint32_t* word = words.data() + first_id % 4;
  for (size_t i = begin; i < end; ++i, ++word) {
    if (*word > largest) continue;
    const float z = row.z()[i];
    if (z == kMinusInfinity || z + GumbelBound(*word) < out.drawn_value) continue;
    Consider(row.IdAt(i), z, z + GumbelFromWord(*word), out);
  }
}

// The largest z + Gumbel. The candidates are likeliest and come first; ids that could not win with
// the largest variate there is are passed over undrawn.
void TakeDraw(const SimdKernels& kernels, const DrawKey& key, const ShardRow& row,
              LogitSummary& out) {
  for (int32_t c = 0; c < out.num_candidates; ++c) {
    const Candidate& candidate = out.candidates[static_cast<size_t>(c)];
    Consider(candidate.id, candidate.z, candidate.z + Gumbel(key, candidate.id), out);
  }
  for (size_t begin = 0; begin < row.z().size(); begin += kDrawChunk) {
    const size_t end = std::min(begin + kDrawChunk, row.z().size());
    const float max = kernels.max(row.z().data() + begin, static_cast<int64_t>(end - begin));
    if (max == kMinusInfinity || max + kLargestGumbel < out.drawn_value) continue;
    DrawChunk(kernels, key, row, begin, end, max, out);
  }
}

}  // namespace

LogitSummary SummarizeRow(const SimdKernels& kernels, int64_t first_id,
                          absl::Span<const TokenId> forbidden, const LogitRowSpec& spec,
                          absl::Span<float> logits) {
  LogitSummary out;
  const ShardRow row(first_id, logits);
  if (logits.empty()) return out;
  ApplySpec(spec, row);
  const auto n = static_cast<int64_t>(logits.size());
  out.max = kernels.max(logits.data(), n);
  kernels.exp_sums(logits.data(), n, out.max, &out.sum_exp, &out.sum_weighted);
  if (const float* z = spec.asked == kNoToken ? nullptr : row.Find(spec.asked)) out.asked_z = *z;
  out.num_allowed = static_cast<int32_t>(n) - Forbid(forbidden, row) - Forbid(spec.forbidden, row) -
                    ForbidOthers(spec.allowed, row);
  TakeCandidates(kernels, row, out);
  if (out.num_candidates > 0) {
    double unused;
    kernels.exp_sums(logits.data(), n, out.candidates[0].z, &out.allowed_sum_exp, &unused);
  }
  if (spec.draws) TakeDraw(kernels, spec.draw_key, row, out);
  return out;
}

}  // namespace sdar
