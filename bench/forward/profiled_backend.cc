// SPDX-License-Identifier: Apache-2.0
#include "bench/forward/profiled_backend.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace sdar {
namespace {

constexpr char kMovedRows[] = "gather and scatter rows";

// What a profile calls an operation.
struct NameOf {
  std::string operator()(const op::Embed&) const { return "embed"; }
  std::string operator()(const op::AddRmsNorm&) const { return "residual and norm"; }
  std::string operator()(const op::MatMul& call) const {
    return absl::StrCat("matmul ", call.weight.rows, " x ", call.weight.cols);
  }
  std::string operator()(const op::QkNormRopeWrite&) const {
    return "q and k norm, RoPE, K/V write";
  }
  std::string operator()(const op::BlockAttention&) const { return "attention"; }
  std::string operator()(const op::SwiGlu&) const { return "SwiGLU"; }
  std::string operator()(const op::Route&) const { return "routing"; }
  std::string operator()(const op::Experts&) const { return "experts"; }
  std::string operator()(const op::Clear&) const { return kMovedRows; }
  std::string operator()(const op::GatherRows&) const { return kMovedRows; }
  std::string operator()(const op::ScatterAddRows&) const { return kMovedRows; }
  std::string operator()(const op::SummarizeLogits&) const { return "logit summary"; }
};

}  // namespace

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

void ProfiledBackend::Run(const Operation& operation) {
  const auto* product = std::get_if<op::MatMul>(&operation);
  const size_t weight_bytes = product == nullptr ? 0 : product->weight.storage.size_bytes();
  Time(std::visit(NameOf{}, operation), static_cast<int64_t>(weight_bytes),
       [&] { backend_.Run(operation); });
}

}  // namespace sdar
