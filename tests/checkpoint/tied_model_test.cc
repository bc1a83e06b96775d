// SPDX-License-Identifier: Apache-2.0
// Checkpoints whose output matrix is the embedding.
#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/checkpoint/checkpoint.h"
#include "tests/checkpoint/temp_checkpoint.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Makes the small model's folder that of a tied one, with an output matrix all the same: the
// embedding, each byte changed by `flips`.
void TieWithHead(const TempCheckpoint& folder, char flips) {
  std::string bytes = folder.Read("model.safetensors");
  const auto header = ParseSafetensorsHeader(
      {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}, "model.safetensors");
  ASSERT_THAT(header, IsOk());
  const auto named = [&](absl::string_view name) {
    return *std::find_if(header->tensors.begin(), header->tensors.end(),
                         [&](const StoredTensor& tensor) { return tensor.name == name; });
  };
  const StoredTensor embedding = named(kEmbedTokensName);
  const StoredTensor head = named(kLmHeadName);
  for (size_t i = 0; i < embedding.size_bytes(); ++i) {
    bytes[header->data_offset + head.begin + i] =
        static_cast<char>(bytes[header->data_offset + embedding.begin + i] ^ flips);
  }
  folder.Write("model.safetensors", bytes);
  ModelConfig config = SmallDenseConfig();
  config.tie_word_embeddings = true;
  folder.Write("config.json", ToJson(config).dump());
}

TEST(TiedModelTest, NamesAnOutputMatrixThatIsTheEmbedding) {
  const TempCheckpoint folder(SmallDenseConfig());
  TieWithHead(folder, 0);
  SDAR_ASSERT_OK_AND_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(folder.path()));
  EXPECT_TRUE(checkpoint.config().IsTied());
  EXPECT_THAT(checkpoint.ignored(), ElementsAre(HasSubstr("'lm_head.weight'")));
}

TEST(TiedModelTest, RefusesAnOutputMatrixThatIsNotTheEmbedding) {
  const TempCheckpoint folder(SmallDenseConfig());
  TieWithHead(folder, 1);
  EXPECT_THAT(Checkpoint::Open(folder.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("lm_head.weight"), HasSubstr("tie_word_embeddings"))));
}

TEST(TiedModelTest, IsTiedWhenTheFieldAndTheOutputMatrixAreAbsent) {
  ModelConfig config = SmallDenseConfig();
  config.tie_word_embeddings = true;
  const TempCheckpoint folder(config);
  config.tie_word_embeddings.reset();
  folder.Write("config.json", ToJson(config).dump());
  SDAR_ASSERT_OK_AND_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(folder.path()));
  EXPECT_EQ(checkpoint.config().tie_word_embeddings, true);
}

TEST(TiedModelTest, IsNotTiedWhenTheFieldIsAbsentAndTheOutputMatrixThere) {
  ModelConfig config = SmallDenseConfig();
  const TempCheckpoint folder(config);
  config.tie_word_embeddings.reset();
  folder.Write("config.json", ToJson(config).dump());
  SDAR_ASSERT_OK_AND_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(folder.path()));
  EXPECT_EQ(checkpoint.config().tie_word_embeddings, false);
}

TEST(TiedModelTest, AnUntiedModelNeedsItsOutputMatrix) {
  ModelConfig config = SmallDenseConfig();
  config.tie_word_embeddings = true;
  const TempCheckpoint folder(config);
  config.tie_word_embeddings = false;
  folder.Write("config.json", ToJson(config).dump());
  EXPECT_THAT(Checkpoint::Open(folder.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("lm_head.weight")));
}

}  // namespace
}  // namespace sdar
