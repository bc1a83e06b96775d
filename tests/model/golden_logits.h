// SPDX-License-Identifier: Apache-2.0
// Golden checkpoints with their logits, and steps that run them.
#pragma once

#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "runtime/checkpoint/safetensors.h"
#include "tests/model/local_ranks.h"

namespace sdar {

inline constexpr const char* kCases[] = {"dense", "dense_yarn", "moe", "moe_b8_tied"};

inline std::string CaseFolder(const std::string& name) {
  return std::string(SDAR_SOURCE_DIR) + "/tests/golden/" + name;
}

struct GoldenLogits {
  std::vector<TokenId> ids;
  std::vector<float> logits;  // [ids, vocabulary]
};

inline std::map<std::string, GoldenLogits> ReadGolden(const std::string& folder) {
  auto file = SafetensorsFile::Open(folder + "/expected/forward.safetensors");
  EXPECT_TRUE(file.ok()) << file.status();
  std::map<std::string, GoldenLogits> out;
  for (const StoredTensor& tensor : file->tensors()) {
    const bool is_ids = tensor.name.rfind("ids.", 0) == 0;
    GoldenLogits& golden = out[tensor.name.substr(tensor.name.find('.') + 1)];
    const auto bytes = file->Bytes(tensor);
    if (is_ids) {
      for (size_t i = 0; i < bytes.size(); i += 8) {
        int64_t id;
        std::memcpy(&id, bytes.data() + i, sizeof id);
        golden.ids.push_back(static_cast<TokenId>(id));
      }
    } else {
      golden.logits.resize(bytes.size() / sizeof(float));
      std::memcpy(golden.logits.data(), bytes.data(), bytes.size());
    }
  }
  return out;
}

// Appends positions [first, first + ids.size()) of a sequence whose pages are `pages`, writing the
// K/V of the first `num_written`; every row gets logits.
inline void AppendSegment(StepRows& step, absl::Span<const TokenId> ids, int32_t first,
                          int32_t block_length, size_t num_written,
                          absl::Span<const int32_t> pages) {
  AttentionSegment segment;
  segment.first_row = static_cast<int32_t>(step.token_ids.size());
  segment.num_rows = static_cast<int32_t>(ids.size());
  segment.first_position = first;
  segment.block_length = block_length;
  segment.page_offset = static_cast<int32_t>(step.page_table.size());
  step.segments.push_back(segment);
  step.page_table.insert(step.page_table.end(), pages.begin(), pages.end());
  for (size_t i = 0; i < ids.size(); ++i) {
    const int64_t position = first + static_cast<int64_t>(i);
    step.logit_rows.push_back(static_cast<int32_t>(step.token_ids.size()));
    step.token_ids.push_back(ids[i]);
    step.positions.push_back(static_cast<int32_t>(position));
    step.kv_slots.push_back(
        i < num_written ? pages[static_cast<size_t>(position / 64)] * 64 + position % 64 : -1);
    step.logit_specs.emplace_back();
  }
}

inline absl::StatusOr<std::vector<float>> ForwardLogits(SdarModel& model, const StepRows& step) {
  auto summaries = model.Forward(step);
  if (!summaries.ok()) return summaries.status();
  std::vector<int32_t> rows(step.logit_rows.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int32_t>(i);
  return model.GatherLogits(rows);
}

inline double RelativeError(absl::Span<const float> got, absl::Span<const float> want) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
    norm += double{want[i]} * want[i];
  }
  return std::sqrt(error / norm);
}

struct Split {
  std::string name;
  int ranks;
  MoeExchange exchange;
};

inline std::vector<Split> Splits() {
  std::vector<Split> splits;
  for (const char* name : kCases) {
    auto config = LoadModelConfig(CaseFolder(name));
    EXPECT_TRUE(config.ok()) << config.status();
#if defined(SDAR_TEST_CUDA) && !defined(SDAR_CUDA_ON_HOST)
    const std::vector<int> rank_counts = {1};  // local communicators reach the host's memory only
#elif defined(SDAR_CUDA_ON_HOST)
    const std::vector<int> rank_counts = {1, 2};  // kernels know no ranks, and take their time here
#else
    const std::vector<int> rank_counts = {1, 2, 4};
#endif
    for (int ranks : rank_counts) {
      if (!RankCountWorks(*config, ranks)) continue;
#ifdef SDAR_CUDA_ON_HOST
      if (ranks == 1)
#endif
        splits.push_back({name, ranks, MoeExchange::kAllReduce});
      if (ranks > 1) splits.push_back({name, ranks, MoeExchange::kAllToAll});
    }
  }
  return splits;
}

// The longest golden sequence of a case.
inline GoldenLogits Longest(const std::string& name) {
  GoldenLogits longest;
  for (auto& [key, golden] : ReadGolden(CaseFolder(name))) {
    if (golden.ids.size() > longest.ids.size()) longest = golden;
  }
  return longest;
}

}  // namespace sdar
