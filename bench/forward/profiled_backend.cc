// SPDX-License-Identifier: Apache-2.0
#include "bench/forward/profiled_backend.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace sdar {

template <typename Call>
void ProfiledBackend::Time(const std::string& operation, int64_t weight_bytes, Call call) {
  const absl::Time start = absl::Now();
  call();
  status_.Update(backend_.Synchronize());
  ProfileEntry& entry = entries_[operation];
  entry.time += absl::Now() - start;
  entry.operation = operation;
  entry.weight_bytes += weight_bytes;
  ++entry.calls;
}

std::vector<ProfileEntry> ProfiledBackend::Entries() const {
  std::vector<ProfileEntry> sorted;
  for (const auto& [name, entry] : entries_) sorted.push_back(entry);
  std::sort(sorted.begin(), sorted.end(),
            [](const ProfileEntry& a, const ProfileEntry& b) { return a.time > b.time; });
  return sorted;
}

void ProfiledBackend::CopyToDevice(const void* host, size_t size_bytes, void* device) {
  Time("copy", 0, [&] { backend_.CopyToDevice(host, size_bytes, device); });
}

void ProfiledBackend::CopyToHost(const void* device, size_t size_bytes, void* host) {
  Time("copy", 0, [&] { backend_.CopyToHost(device, size_bytes, host); });
}

void ProfiledBackend::Embed(const TensorView& table, int64_t first_id, const int32_t* ids,
                            const TensorView& out) {
  Time("embed", 0, [&] { backend_.Embed(table, first_id, ids, out); });
}

void ProfiledBackend::AddRmsNorm(const TensorView* delta, const TensorView& weight, float eps,
                                 const TensorView& residual, const TensorView& out) {
  Time("residual and norm", 0, [&] { backend_.AddRmsNorm(delta, weight, eps, residual, out); });
}

void ProfiledBackend::MatMul(const PackedWeight& weight, const TensorView& x,
                             const TensorView& out) {
  Time(absl::StrCat("matmul ", weight.rows, " x ", weight.cols),
       static_cast<int64_t>(weight.storage.size_bytes()), [&] { backend_.MatMul(weight, x, out); });
}

void ProfiledBackend::QkNormRopeWrite(const AttentionShape& shape, const StepLayout& layout,
                                      const TensorView& q_norm, const TensorView& k_norm,
                                      const KvPages& pages, const TensorView& qkv) {
  Time("q and k norm, RoPE, K/V write", 0,
       [&] { backend_.QkNormRopeWrite(shape, layout, q_norm, k_norm, pages, qkv); });
}

void ProfiledBackend::BlockAttention(const AttentionShape& shape, const StepLayout& layout,
                                     const KvPages& pages, const TensorView& qkv,
                                     const TensorView& out) {
  Time("attention", 0, [&] { backend_.BlockAttention(shape, layout, pages, qkv, out); });
}

void ProfiledBackend::SwiGlu(const TensorView& gate_up, const TensorView& out) {
  Time("SwiGLU", 0, [&] { backend_.SwiGlu(gate_up, out); });
}

void ProfiledBackend::Route(const TensorView& logits, int64_t k, bool renormalize, int32_t* ids,
                            float* weights) {
  Time("routing", 0, [&] { backend_.Route(logits, k, renormalize, ids, weights); });
}

void ProfiledBackend::Experts(const ExpertWeights& experts, const TensorView& x, int64_t k,
                              const int32_t* ids, const float* weights, const TensorView& out) {
  Time("experts", 0, [&] { backend_.Experts(experts, x, k, ids, weights, out); });
}

void ProfiledBackend::Clear(const TensorView& out) {
  Time("gather and scatter rows", 0, [&] { backend_.Clear(out); });
}

void ProfiledBackend::GatherRows(const TensorView& x, const int32_t* rows, const TensorView& out) {
  Time("gather and scatter rows", 0, [&] { backend_.GatherRows(x, rows, out); });
}

void ProfiledBackend::ScatterAddRows(const TensorView& x, const int32_t* rows,
                                     const TensorView& out) {
  Time("gather and scatter rows", 0, [&] { backend_.ScatterAddRows(x, rows, out); });
}

void ProfiledBackend::SummarizeLogits(const LogitSpecs& specs, const TensorView& logits,
                                      absl::Span<LogitSummary> out) {
  Time("logit summary", 0, [&] { backend_.SummarizeLogits(specs, logits, out); });
}

}  // namespace sdar
