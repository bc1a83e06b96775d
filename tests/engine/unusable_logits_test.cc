// SPDX-License-Identifier: Apache-2.0
// Checkpoints whose weights make logits that are not finite: the request ends, the job does not.
#include <cstring>
#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/checkpoint/temp_checkpoint.h"
#include "tests/engine/local_job.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::HasSubstr;

// A copy of a model's folder with one tensor's elements from `first` on overwritten.
class DamagedCheckpoint : public TempFolder {
 public:
  DamagedCheckpoint(const std::string& folder, const std::string& tensor, size_t first,
                    uint16_t bf16) {
    std::filesystem::copy(folder, path(), std::filesystem::copy_options::recursive);
    for (const auto& entry : std::filesystem::directory_iterator(path())) {
      if (entry.path().extension() == ".safetensors") Damage(entry.path(), tensor, first, bf16);
    }
    EXPECT_TRUE(found_) << tensor;
  }

 private:
  void Damage(const std::filesystem::path& file, const std::string& tensor, size_t first,
              uint16_t bf16) {
    const std::string content = Read(file.filename().string());
    uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, content.data(), sizeof(header_bytes));
    const Json header = Json::parse(content.substr(8, header_bytes));
    if (!header.contains(tensor)) return;
    found_ = true;
    ASSERT_EQ(header[tensor]["dtype"], "BF16");
    const size_t begin = header[tensor]["data_offsets"][0].get<size_t>() + 2 * first;
    const size_t end = header[tensor]["data_offsets"][1].get<size_t>();
    std::string damaged = content;
    for (size_t at = begin; at < end; at += 2) {
      std::memcpy(&damaged[8 + header_bytes + at], &bf16, sizeof(bf16));
    }
    Write(file.filename().string(), damaged);
  }

  bool found_ = false;
};

constexpr uint16_t kNan = 0x7FC0;
constexpr uint16_t kInfinity = 0x7F80;

std::string Golden(const std::string& name) {
  return std::string(SDAR_SOURCE_DIR) + "/tests/golden/" + name;
}

// Asks in several ways, twice over, and returns the last status.
absl::Status Ask(LocalJob& job) {
  absl::Status status;
  for (int round = 0; round < 2; ++round) {
    for (const double top_p : {1.0, 0.5}) {
      for (const double temperature : {0.0, 1.0}) {
        Collector out;
        RequestFields fields;
        fields.temperature = temperature;
        fields.top_p = top_p;
        fields.max_tokens = 12;
        fields.drafts = DraftCount{round == 0 ? 0 : 4};
        fields.n = 2;
        EXPECT_THAT(job.Submit(fields, {1, 2, 3, 4, 5}, out, 0), IsOk());
        out.AwaitAll();
        for (int sample = 0; sample < 2; ++sample) {
          status = out.StatusOf(sample);
          EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
        }
      }
    }
  }
  return status;
}

TEST(UnusableLogitsTest, EndTheirRequestByStepPositionAndRank) {
  for (const uint16_t value : {kNan, kInfinity}) {
    for (const int ranks : {1, 2}) {
      const DamagedCheckpoint folder(Golden("dense"), "model.norm.weight", 0, value);
      LocalJobOptions options;
      options.ranks.ranks = ranks;
      LocalJob job(folder.path(), options);
      const std::string message(Ask(job).message());
      EXPECT_THAT(message, HasSubstr("logits of position 5 are not finite at step 0"));
      EXPECT_THAT(message, HasSubstr("rank 0"));
      EXPECT_THAT(job.Stop(), IsOk());
    }
  }
}

TEST(UnusableLogitsTest, AreFoundInAnyRanksShare) {
  const DamagedCheckpoint folder(Golden("moe"), "lm_head.weight", 15'000, kNan);
  LocalJobOptions options;
  options.ranks.ranks = 2;
  LocalJob job(folder.path(), options);
  EXPECT_THAT(std::string(Ask(job).message()), HasSubstr("rank 1"));
  EXPECT_THAT(job.Stop(), IsOk());
}

TEST(UnusableLogitsTest, ARouterWithoutNumbersSendsRowsToExpertsThatThereAre) {
  const DamagedCheckpoint folder(Golden("moe"), "model.layers.0.mlp.gate.weight", 100, kNan);
  for (const MoeExchange exchange : {MoeExchange::kAllReduce, MoeExchange::kAllToAll}) {
    LocalJobOptions options;
    options.ranks.ranks = 2;
    options.ranks.model.moe_exchange = exchange;
    LocalJob job(folder.path(), options);
    EXPECT_FALSE(Ask(job).ok());
    EXPECT_THAT(job.Stop(), IsOk());
  }
}

}  // namespace
}  // namespace sdar
