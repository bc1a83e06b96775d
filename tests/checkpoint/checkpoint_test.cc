// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/checkpoint.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/checkpoint/generation_config.h"
#include "tests/checkpoint/temp_checkpoint.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr auto kInvalidCheckpoint = absl::StatusCode::kInvalidArgument;
constexpr auto kNotFound = absl::StatusCode::kNotFound;
constexpr char kSourceDir[] = SDAR_SOURCE_DIR;
constexpr uint64_t kManyFiles = 2000;  // bytes: a few tensors of the small models

// Replaces the weights of `checkpoint` by zeros of these shapes.
void Rewrite(const TempCheckpoint& checkpoint, const std::vector<TensorDeclaration>& tensors) {
  WriteZeros(checkpoint.File("model.safetensors"), tensors);
}

TensorDeclaration& Named(std::vector<TensorDeclaration>& tensors, const std::string& name) {
  for (TensorDeclaration& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  ADD_FAILURE() << name;
  return tensors.front();
}

void EditIndex(const TempCheckpoint& checkpoint, const std::function<void(Json&)>& edit) {
  Json index = Json::parse(checkpoint.Read("model.safetensors.index.json"));
  edit(index);
  checkpoint.Write("model.safetensors.index.json", index.dump());
}

class StoredModelTest : public ::testing::TestWithParam<const char*> {};

TEST_P(StoredModelTest, OpensWithEveryTensor) {
  const std::string folder = absl::StrCat(kSourceDir, "/", GetParam());
  SDAR_ASSERT_OK_AND_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(folder));
  for (const TensorSpec& spec : ExpectedTensors(checkpoint.config())) {
    SDAR_ASSERT_OK_AND_ASSIGN(const TensorData tensor, checkpoint.Find(spec.name));
    EXPECT_EQ(tensor.shape, absl::MakeConstSpan(spec.shape)) << spec.name;
  }
  EXPECT_EQ(checkpoint.TotalBytes(),
            static_cast<uint64_t>(checkpoint.config().NumParameters()) * 2);
}

INSTANTIATE_TEST_SUITE_P(Folders, StoredModelTest,
                         ::testing::Values("tests/golden/dense", "tests/golden/dense_yarn",
                                           "tests/golden/moe", "tests/golden/moe_b8_tied",
                                           "models/sdar-tiny"));

TEST(CheckpointTest, FindsTensorsInShards) {
  const TempCheckpoint folder(SmallMoeConfig(), kManyFiles);
  SDAR_ASSERT_OK_AND_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(folder.path()));
  EXPECT_GT(checkpoint.NumFiles(), 2u);
  EXPECT_THAT(checkpoint.Find("model.layers.1.mlp.experts.5.down_proj.weight"), IsOk());
}

TEST(CheckpointTest, FindNamesATensorThatIsNotThere) {
  const TempCheckpoint folder(SmallDenseConfig());
  SDAR_ASSERT_OK_AND_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(folder.path()));
  EXPECT_THAT(checkpoint.Find("x.weight"), StatusIs(kNotFound, HasSubstr("'x.weight'")));
}

TEST(CheckpointTest, TheIndexHashIgnoresHowFilesAreSplit) {
  const TempCheckpoint whole(SmallMoeConfig());
  const TempCheckpoint split(SmallMoeConfig(), kManyFiles);
  SDAR_ASSERT_OK_AND_ASSIGN(const Checkpoint a, Checkpoint::Open(whole.path()));
  SDAR_ASSERT_OK_AND_ASSIGN(const Checkpoint b, Checkpoint::Open(split.path()));
  EXPECT_EQ(a.IndexHash(), b.IndexHash());
}

TEST(CheckpointTest, TheIndexHashSeesAnotherDType) {
  const TempCheckpoint folder(SmallDenseConfig());
  SDAR_ASSERT_OK_AND_ASSIGN(const Checkpoint before, Checkpoint::Open(folder.path()));
  auto tensors = Declarations(SmallDenseConfig());
  tensors[3].dtype = StoredDType::kF16;
  Rewrite(folder, tensors);
  SDAR_ASSERT_OK_AND_ASSIGN(const Checkpoint after, Checkpoint::Open(folder.path()));
  EXPECT_NE(before.IndexHash(), after.IndexHash());
}

TEST(CheckpointTest, AWrongShapeNamesFileTensorExpectedAndFound) {
  const TempCheckpoint folder(SmallDenseConfig());
  auto tensors = Declarations(SmallDenseConfig());
  Named(tensors, "model.layers.1.self_attn.k_proj.weight").shape = {16, 17};
  Rewrite(folder, tensors);
  EXPECT_THAT(
      Checkpoint::Open(folder.path()),
      StatusIs(kInvalidCheckpoint, AllOf(HasSubstr("model.safetensors"),
                                         HasSubstr("model.layers.1.self_attn.k_proj.weight"),
                                         HasSubstr("[16, 16]"), HasSubstr("[16, 17]"))));
}

TEST(CheckpointTest, ANeededTensorOfAnotherDTypeIsRefused) {
  const TempCheckpoint folder(SmallDenseConfig());
  auto tensors = Declarations(SmallDenseConfig());
  Named(tensors, "model.norm.weight").dtype = StoredDType::kI64;
  Rewrite(folder, tensors);
  EXPECT_THAT(
      Checkpoint::Open(folder.path()),
      StatusIs(kInvalidCheckpoint, AllOf(HasSubstr("model.norm.weight"), HasSubstr("got I64"))));
}

TEST(CheckpointTest, AMissingTensorIsNamed) {
  const TempCheckpoint folder(SmallDenseConfig());
  auto tensors = Declarations(SmallDenseConfig());
  tensors.erase(tensors.begin() + 5);
  const std::string name = Declarations(SmallDenseConfig())[5].name;
  Rewrite(folder, tensors);
  EXPECT_THAT(Checkpoint::Open(folder.path()),
              StatusIs(kNotFound, AllOf(HasSubstr(name), HasSubstr("absent"))));
}

TEST(CheckpointTest, AnUnexpectedTensorIsNamed) {
  const TempCheckpoint folder(SmallDenseConfig());
  auto tensors = Declarations(SmallDenseConfig());
  tensors.push_back({"model.layers.0.self_attn.q_proj.bias", StoredDType::kBF16, {32}});
  Rewrite(folder, tensors);
  EXPECT_THAT(Checkpoint::Open(folder.path()),
              StatusIs(kInvalidCheckpoint, HasSubstr("model.layers.0.self_attn.q_proj.bias")));
}

TEST(CheckpointTest, ATruncatedFileIsNamed) {
  const TempCheckpoint folder(SmallDenseConfig());
  const std::string bytes = folder.Read("model.safetensors");
  folder.Write("model.safetensors", bytes.substr(0, bytes.size() - 1));
  EXPECT_THAT(
      Checkpoint::Open(folder.path()),
      StatusIs(kInvalidCheckpoint, AllOf(HasSubstr("model.safetensors"), HasSubstr("truncated"))));
}

TEST(CheckpointTest, EveryPrefixOfAFileIsRefused) {
  const TempCheckpoint folder(SmallDenseConfig());
  const std::string bytes = folder.Read("model.safetensors");
  for (size_t size = 0; size < bytes.size(); size += 97) {
    folder.Write("model.safetensors", bytes.substr(0, size));
    EXPECT_FALSE(Checkpoint::Open(folder.path()).ok()) << size;
  }
}

TEST(CheckpointTest, AFileThatChangesAfterItWasOpenedIsNamed) {
  const TempCheckpoint folder(SmallDenseConfig());
  SDAR_ASSERT_OK_AND_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(folder.path()));
  EXPECT_THAT(checkpoint.CheckUnchanged(), IsOk());
  std::filesystem::resize_file(folder.File("model.safetensors"), 600);
  EXPECT_THAT(checkpoint.Find(kEmbedTokensName),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("model.safetensors: expected")));
  EXPECT_THAT(checkpoint.CheckUnchanged(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("600 now")));
}

TEST(CheckpointTest, AGitLfsPointerInPlaceOfAnyFileSaysHowToFetchIt) {
  constexpr char kPointer[] =
      "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 2452743200\n";
  for (const char* name : {"model.safetensors", "config.json", "tokenizer.json", "merges.txt"}) {
    const TempCheckpoint folder(SmallDenseConfig());
    folder.Write(name, kPointer);
    const absl::Status status = Checkpoint::Open(folder.path()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(folder.File(name)));
    EXPECT_THAT(std::string(status.message()), HasSubstr("git -C '" + folder.path()));
    EXPECT_THAT(VerifyCheckpoint(folder.path(), Progress()), SizeIs(1));
  }
}

TEST(CheckpointTest, FilesThatAreCutEmptyOrNoFilesAreNamed) {
  for (const char* name : {"model.safetensors", "config.json", "generation_config.json"}) {
    for (const char* content : {"", "{", "{\"a\": [1,"}) {
      const TempCheckpoint folder(SmallDenseConfig());
      folder.Write(name, content);
      const auto config = Checkpoint::Open(folder.path());
      const absl::Status status =
          config.ok() ? LoadGenerationConfig(folder.path(), config->config()).status()
                      : config.status();
      EXPECT_FALSE(status.ok()) << name << " " << content;
      EXPECT_THAT(std::string(status.message()), HasSubstr(folder.File(name))) << content;
    }
    const TempCheckpoint folder(SmallDenseConfig());
    std::filesystem::remove(folder.File(name));
    std::filesystem::create_directory(folder.File(name));
    const auto config = Checkpoint::Open(folder.path());
    const absl::Status status = config.ok()
                                    ? LoadGenerationConfig(folder.path(), config->config()).status()
                                    : config.status();
    EXPECT_FALSE(status.ok()) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(folder.File(name)));
  }
}

TEST(CheckpointTest, AMissingShardIsNamed) {
  const TempCheckpoint folder(SmallMoeConfig(), kManyFiles);
  SDAR_ASSERT_OK_AND_ASSIGN(const ShardIndex index,
                            ParseShardIndex(folder.Read("model.safetensors.index.json"), "index"));
  std::filesystem::remove(folder.File(index.files[1]));
  EXPECT_THAT(Checkpoint::Open(folder.path()), StatusIs(kNotFound, HasSubstr(index.files[1])));
}

TEST(CheckpointTest, ATensorInTwoFilesIsReadWhereTheIndexPlacesIt) {
  const TempCheckpoint folder(SmallDenseConfig(), kManyFiles);
  WriteZeros(folder.File("extra.safetensors"),
             {{"model.norm.weight", StoredDType::kBF16, {16}}, {"x", StoredDType::kBF16, {1}}});
  EditIndex(folder, [](Json& index) { index["weight_map"]["x"] = "extra.safetensors"; });
  SDAR_ASSERT_OK_AND_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(folder.path()));
  SDAR_ASSERT_OK_AND_ASSIGN(const TensorData norm, checkpoint.Find("model.norm.weight"));
  EXPECT_THAT(std::string(norm.file), Not(HasSubstr("extra.safetensors")));
  EXPECT_THAT(
      checkpoint.ignored(),
      UnorderedElementsAre(AllOf(HasSubstr("extra.safetensors"), HasSubstr("'model.norm.weight'")),
                           AllOf(HasSubstr("extra.safetensors"), HasSubstr("'x'"))));
}

TEST(CheckpointTest, ATensorInTwoFilesIsNamedWhereTheIndexHasNoPlaceForIt) {
  const TempCheckpoint folder(SmallDenseConfig(), kManyFiles);
  WriteZeros(folder.File("extra.safetensors"),
             {{"model.norm.weight", StoredDType::kBF16, {16}}, {"x", StoredDType::kBF16, {1}}});
  EditIndex(folder, [](Json& index) {
    index["weight_map"]["x"] = "extra.safetensors";
    index["weight_map"].erase("model.norm.weight");
  });
  EXPECT_THAT(
      Checkpoint::Open(folder.path()),
      StatusIs(kInvalidCheckpoint, AllOf(HasSubstr("model.norm.weight"), HasSubstr("expected once"),
                                         HasSubstr("extra.safetensors"))));
}

TEST(CheckpointTest, WhatHasNoEffectIsNamed) {
  const TempCheckpoint folder(SmallDenseConfig());
  auto tensors = Declarations(SmallDenseConfig());
  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", StoredDType::kF32, {4}});
  tensors.push_back({"model.layers.9.mlp.up_proj.weight", StoredDType::kBF16, {2}});
  Rewrite(folder, tensors);
  WriteZeros(folder.File("consolidated.safetensors"), {{"x", StoredDType::kI64, {1}}});
  Json config = ToJson(SmallDenseConfig());
  config["logit_softcap"] = 30.0;
  config["use_cache"] = true;
  config["pad_token_id"] = nullptr;
  folder.Write("config.json", config.dump());
  SDAR_ASSERT_OK_AND_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(folder.path()));
  EXPECT_THAT(checkpoint.ignored(),
              UnorderedElementsAre(HasSubstr("'logit_softcap'"), HasSubstr("rotary_emb.inv_freq"),
                                   HasSubstr("layers.9"), HasSubstr("consolidated.safetensors")));
  EXPECT_THAT(VerifyCheckpoint(folder.path(), Progress()), IsEmpty());
}

TEST(CheckpointTest, WhatAComputedModuleBringsBesideItsWeightIsRefused) {
  for (const char* name : {"model.layers.0.self_attn.q_proj.bias", "model.norm.bias",
                           "model.layers.1.mlp.up_proj.weight_scale"}) {
    const TempCheckpoint folder(SmallDenseConfig());
    auto tensors = Declarations(SmallDenseConfig());
    tensors.push_back({name, StoredDType::kBF16, {16}});
    Rewrite(folder, tensors);
    EXPECT_THAT(Checkpoint::Open(folder.path()), StatusIs(kInvalidCheckpoint, HasSubstr(name)));
  }
}

TEST(CheckpointTest, ATensorThatTheIndexPlacesElsewhereIsNamed) {
  const TempCheckpoint folder(SmallDenseConfig(), kManyFiles);
  std::string wrong;
  EditIndex(folder, [&wrong](Json& index) {
    wrong = index["weight_map"][kEmbedTokensName].get<std::string>();
    index["weight_map"]["lm_head.weight"] = wrong;
  });
  EXPECT_THAT(Checkpoint::Open(folder.path()),
              StatusIs(kInvalidCheckpoint, AllOf(HasSubstr(wrong), HasSubstr("lm_head.weight"),
                                                 HasSubstr("places it here"))));
}

TEST(CheckpointTest, AShardThatLeavesTheFolderIsRefused) {
  for (const char* name : {"../model.safetensors", "/etc/passwd", "..", ".", "", "a/b"}) {
    Json index;
    index["weight_map"]["t"] = name;
    EXPECT_THAT(ParseShardIndex(index.dump(), "index.json"),
                StatusIs(kInvalidCheckpoint, AllOf(HasSubstr("index.json"), HasSubstr("'t'"))))
        << name;
  }
}

TEST(CheckpointTest, AnIndexWithoutItsMapIsRefused) {
  for (const char* text :
       {"[]", "{}", "{\"weight_map\": []}", "{\"weight_map\": {}}", "{\"weight_map\": {\"t\": 1}}",
        "{\"weight_map\": {\"t\": \"a\", \"t\": \"b\"}}"}) {
    EXPECT_THAT(ParseShardIndex(text, "index.json"),
                StatusIs(kInvalidCheckpoint, HasSubstr("index.json")))
        << text;
  }
}

TEST(CheckpointTest, AFolderWithoutWeightsSaysWhatIsExpected) {
  const TempCheckpoint folder(SmallDenseConfig());
  std::filesystem::remove(folder.File("model.safetensors"));
  EXPECT_THAT(Checkpoint::Open(folder.path()),
              StatusIs(kNotFound, HasSubstr("model.safetensors.index.json")));
}

TEST(VerifyTest, FindsNothingInAGoodCheckpoint) {
  const TempCheckpoint folder(SmallMoeConfig(), kManyFiles);
  double last = 0.0;
  EXPECT_THAT(VerifyCheckpoint(folder.path(), [&last](double fraction) { last = fraction; }),
              IsEmpty());
  EXPECT_EQ(last, 1.0);
}

TEST(VerifyTest, ListsEveryProblem) {
  const TempCheckpoint folder(SmallDenseConfig());
  auto tensors = Declarations(SmallDenseConfig());
  tensors[1].shape = {3};
  tensors[2].dtype = StoredDType::kU8;
  tensors[3].name = "other";  // one missing, one without effect
  Rewrite(folder, tensors);
  EXPECT_THAT(VerifyCheckpoint(folder.path(), Progress()), SizeIs(3));
}

TEST(VerifyTest, NamesABrokenShardOnceAndStillChecksTheOthers) {
  const TempCheckpoint folder(SmallMoeConfig(), kManyFiles);
  SDAR_ASSERT_OK_AND_ASSIGN(const ShardIndex index,
                            ParseShardIndex(folder.Read("model.safetensors.index.json"), "index"));
  folder.Write(index.files[0], "broken");
  std::filesystem::remove(folder.File(index.files[1]));
  EXPECT_THAT(VerifyCheckpoint(folder.path(), Progress()),
              ElementsAre(StatusIs(kInvalidCheckpoint, HasSubstr(index.files[0])),
                          StatusIs(kNotFound, HasSubstr(index.files[1]))));
}

TEST(VerifyTest, ABrokenConfigDoesNotHideABrokenFile) {
  const TempCheckpoint folder(SmallDenseConfig());
  folder.Write("config.json", "{}");
  folder.Write("model.safetensors", "");
  EXPECT_THAT(VerifyCheckpoint(folder.path(), Progress()), SizeIs(2));
}

}  // namespace
}  // namespace sdar
