// SPDX-License-Identifier: Apache-2.0
// Penalties, bias and temperature in place, then one row's summary: its sums, the 64 first
// candidates and the largest z + Gumbel. One block per row; the row is read from the cache after
// the first time: 608 KB of 151,936 ids.
#include "Random123/philox.h"

#include "kernels/cuda/device.h"
#include "kernels/cuda/kernels.h"

namespace sdar::cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kRadix = 256;  // buckets of one of the four passes that find the last candidate

__device__ inline float MinusInfinity() { return __uint_as_float(0xFF800000u); }

// Words that order as the floats do.
__device__ inline uint32_t Order(float z) {
  const uint32_t bits = __float_as_uint(z);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

// A Candidate that shared memory can hold.
struct Found {
  int32_t id;
  float z;
};

// As Precedes (common/logit_summary.h).
__device__ inline bool ComesFirst(float z, int32_t id, float other_z, int32_t other_id) {
  return z != other_z ? z > other_z : id < other_id;
}

// As GumbelFromWord (common/draw_key.h).
__device__ inline float GumbelOf(uint32_t word) {
  const float below_one = 1.0f - 0x1p-24f;
  const float v = (static_cast<float>(word) + 0.5f) * 0x1p-32f;
  return -logf(-log1pf(-(v < below_one ? v : below_one)));
}

// Each id is listed once per list, so threads never meet.
__device__ void ApplySpec(const SummarySpecs& specs, const RowSpec& spec, int64_t columns,
                          float* z) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int32_t i = spec.repeated_begin + thread; i < spec.repeated_end; i += kThreads) {
    float& value = z[specs.columns[i]];
    value = value < 0 ? value * spec.repetition_penalty : value / spec.repetition_penalty;
  }
  __syncthreads();
  for (int32_t i = spec.lowered_begin + thread; i < spec.lowered_end; i += kThreads) {
    z[specs.changes[i].column] -= specs.changes[i].amount;
  }
  __syncthreads();
  for (int32_t i = spec.raised_begin + thread; i < spec.raised_end; i += kThreads) {
    z[specs.changes[i].column] += specs.changes[i].amount;
  }
  __syncthreads();
  if (spec.inverse_temperature != 1) {
    for (int64_t c = thread; c < columns; c += kThreads) z[c] *= spec.inverse_temperature;
  }
  __syncthreads();
}

__device__ float RowMax(const float* z, int64_t columns) {
  float max = MinusInfinity();
  for (int64_t c = threadIdx.x; c < columns; c += kThreads) max = fmaxf(max, z[c]);
  return BlockMax<kThreads>(max);
}

struct Sums {
  double exp = 0;
  double weighted = 0;
};

// Sums over the row of exp(z - max) and (z - max) exp(z - max); -inf counts as nothing.
__device__ Sums ExpSums(const float* z, int64_t columns, float max) {
  Sums mine;
  for (int64_t c = threadIdx.x; c < columns; c += kThreads) {
    const float d = z[c] - max;
    const float e = expf(d);
    if (e == 0) continue;
    mine.exp += static_cast<double>(e);
    mine.weighted += static_cast<double>(d * e);
  }
  return {BlockSum<kThreads>(mine.exp), BlockSum<kThreads>(mine.weighted)};
}

__device__ void Forbid(const SummarySpecs& specs, const RowSpec& spec, int64_t columns, float* z) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int32_t i = specs.forbidden_begin + thread; i < specs.forbidden_end; i += kThreads) {
    z[specs.columns[i]] = MinusInfinity();
  }
  for (int32_t i = spec.forbidden_begin + thread; i < spec.forbidden_end; i += kThreads) {
    z[specs.columns[i]] = MinusInfinity();
  }
  __syncthreads();
  if (spec.allowed_begin < 0) return;
  for (int64_t c = thread; c < columns; c += kThreads) {
    const int64_t bit = specs.first_bit + c;
    const auto word = static_cast<uint32_t>(specs.columns[spec.allowed_begin + bit / 32]);
    if ((word >> bit % 32 & 1) == 0) z[c] = MinusInfinity();
  }
  __syncthreads();
}

__device__ int CountAllowed(const float* z, int64_t columns) {
  int mine = 0;
  for (int64_t c = threadIdx.x; c < columns; c += kThreads) mine += z[c] != MinusInfinity();
  return static_cast<int>(BlockSum<kThreads>(static_cast<float>(mine)));
}

// The order word of the `wanted`-th largest value, and how many are larger: found digit by digit
// from the highest.
struct Bar {
  uint32_t order;
  int num_above;
};
__device__ Bar FindBar(const float* z, int64_t columns, int wanted) {
  __shared__ int counts[kRadix];
  __shared__ uint32_t digit;
  __shared__ int above_digit;
  uint32_t prefix = 0;
  int above = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    for (int i = static_cast<int>(threadIdx.x); i < kRadix; i += kThreads) counts[i] = 0;
    __syncthreads();
    for (int64_t c = threadIdx.x; c < columns; c += kThreads) {
      const uint32_t order = Order(z[c]);
      const bool matches = shift == 24 || order >> (shift + 8) == prefix >> (shift + 8);
      if (matches) atomicAdd(&counts[order >> shift & (kRadix - 1)], 1);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      int seen = above;
      int i = kRadix - 1;
      while (seen + counts[i] < wanted) seen += counts[i--];
      digit = static_cast<uint32_t>(i);
      above_digit = seen;
    }
    __syncthreads();
    prefix |= digit << shift;
    above = above_digit;
    __syncthreads();
  }
  return {prefix, above};
}

// The sum over the threads before this one.
__device__ int SumBefore(int value) {
  __shared__ int of_warps[kThreads / kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            warp = static_cast<int>(threadIdx.x) / kWarp;
  int sum = value;
  for (unsigned delta = 1; delta < kWarp; delta *= 2) {
    const int below = __shfl_up_sync(kAllLanes, sum, delta);
    if (lane >= static_cast<int>(delta)) sum += below;
  }
  __syncthreads();
  if (lane == kWarp - 1) of_warps[warp] = sum;
  __syncthreads();
  int before = sum - value;
  for (int i = 0; i < warp; ++i) before += of_warps[i];
  return before;
}

// Puts the candidates into `found`, unordered: all above the bar, and of those at it the lowest
// ids.
__device__ void CollectCandidates(const float* z, int64_t columns, int32_t first_id, const Bar& bar,
                                  int wanted, Found* found) {
  __shared__ int num_found;
  if (threadIdx.x == 0) num_found = 0;
  __syncthreads();
  // Each thread looks at columns of its own that follow each other, so that ids ascend with it.
  const int64_t per_thread = (columns + kThreads - 1) / kThreads;
  const int64_t begin = per_thread * threadIdx.x;
  const int64_t end = begin + per_thread < columns ? begin + per_thread : columns;
  int ties = 0;
  for (int64_t c = begin; c < end; ++c) {
    const uint32_t order = Order(z[c]);
    ties += order == bar.order;
    if (order > bar.order) {
      found[atomicAdd(&num_found, 1)] = {first_id + static_cast<int32_t>(c), z[c]};
    }
  }
  int at = bar.num_above + SumBefore(ties);
  for (int64_t c = begin; c < end && at < wanted && ties > 0; ++c) {
    if (Order(z[c]) == bar.order) found[at++] = {first_id + static_cast<int32_t>(c), z[c]};
  }
  __syncthreads();
}

// Writes found[0, count) in order: each goes where as many come before it.
__device__ void SortCandidates(const Found* found, int count, Candidate* sorted) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < count) {
    int place = 0;
    for (int j = 0; j < count; ++j) {
      place += ComesFirst(found[j].z, found[j].id, found[i].z, found[i].id);
    }
    sorted[place].id = found[i].id;
    sorted[place].z = found[i].z;
  }
  __syncthreads();
}

struct Drawn {
  float value, z;
  int32_t id;
};
__device__ inline Drawn Better(const Drawn& a, const Drawn& b) {
  if (b.id == kNoToken) return a;
  if (a.id == kNoToken) return b;
  return ComesFirst(a.value, a.id, b.value, b.id) ? a : b;
}

// The largest z + Gumbel of the row, in thread 0. Four ids share one Philox block.
__device__ Drawn Draw(const SummarySpecs& specs, const RowSpec& spec, const float* z,
                      int64_t columns) {
  Drawn best = {MinusInfinity(), MinusInfinity(), kNoToken};
  const int64_t first_group = specs.first_id / 4;
  const int64_t end_group = (specs.first_id + columns + 3) / 4;
  for (int64_t group = first_group + threadIdx.x; group < end_group; group += kThreads) {
    const r123::Philox4x32::ctr_type words =
        r123::Philox4x32()({{static_cast<uint32_t>(group), spec.position, spec.step, 0}},
                           {{spec.seed_low, spec.seed_high}});
    for (int i = 0; i < 4; ++i) {
      const int64_t column = 4 * group + i - specs.first_id;
      if (column < 0 || column >= columns || z[column] == MinusInfinity()) continue;
      const float value = z[column] + GumbelOf(words[static_cast<size_t>(i)]);
      best = Better(best, {value, z[column], static_cast<int32_t>(4 * group + i)});
    }
  }
  __shared__ Drawn of_warps[kThreads / kWarp];
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    const Drawn other = {__shfl_xor_sync(kAllLanes, best.value, mask),
                         __shfl_xor_sync(kAllLanes, best.z, mask),
                         __shfl_xor_sync(kAllLanes, best.id, mask)};
    best = Better(best, other);
  }
  if (threadIdx.x % kWarp == 0) of_warps[threadIdx.x / kWarp] = best;
  __syncthreads();
  for (int i = 1; threadIdx.x == 0 && i < kThreads / kWarp; ++i) best = Better(best, of_warps[i]);
  return best;
}

__global__ void __launch_bounds__(kThreads)
    SummarizeLogitsKernel(SummarySpecs specs, float* logits, int64_t stride, int64_t columns,
                          LogitSummary* summaries) {
  __shared__ Found found[kMaxCandidates];
  const RowSpec spec = specs.rows[blockIdx.x];
  float* z = logits + blockIdx.x * stride;
  LogitSummary& out = summaries[blockIdx.x];
  Candidate* candidates = out.candidates.data();
  ApplySpec(specs, spec, columns, z);
  const float max = RowMax(z, columns);
  const Sums sums = ExpSums(z, columns, max);
  const float asked_z = spec.asked_column >= 0 ? z[spec.asked_column] : MinusInfinity();
  __syncthreads();
  Forbid(specs, spec, columns, z);
  const int num_allowed = CountAllowed(z, columns);
  const int wanted = num_allowed < kMaxCandidates ? num_allowed : kMaxCandidates;
  double allowed_sum = 0;
  for (int i = wanted + static_cast<int>(threadIdx.x); i < kMaxCandidates; i += kThreads) {
    candidates[i].id = kNoToken;
    candidates[i].z = MinusInfinity();
  }
  if (wanted > 0) {
    const Bar bar = FindBar(z, columns, wanted);
    CollectCandidates(z, columns, specs.first_id, bar, wanted, found);
    SortCandidates(found, wanted, candidates);
    allowed_sum = ExpSums(z, columns, candidates[0].z).exp;
  }
  Drawn drawn = {MinusInfinity(), MinusInfinity(), kNoToken};
  if (spec.draws != 0) drawn = Draw(specs, spec, z, columns);
  if (threadIdx.x != 0) return;
  out.max = max;
  out.asked_z = asked_z;
  out.sum_exp = sums.exp;
  out.sum_weighted = sums.weighted;
  out.allowed_sum_exp = allowed_sum;
  out.num_allowed = num_allowed;
  out.num_candidates = wanted;
  out.drawn_id = drawn.id;
  out.drawn_z = drawn.z;
  out.drawn_value = drawn.value;
  out.unusable_shard = 0;
}

}  // namespace

void SummarizeLogits(const SummarySpecs& specs, const TensorView& logits, LogitSummary* summaries,
                     cudaStream_t stream) {
  Launch(SummarizeLogitsKernel, dim3(static_cast<unsigned>(logits.rows)), kThreads, 0, stream,
         specs, logits.Row<float>(0), logits.row_stride, logits.cols, summaries);
}

}  // namespace sdar::cuda
