// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/model_config.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/checkpoint/temp_checkpoint.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// The small config's JSON with one field set to the JSON text `value`.
absl::StatusOr<ModelConfig> ParseWith(const ModelConfig& config, const std::string& field,
                                      const std::string& value) {
  Json json = ToJson(config);
  json[field] = Json::parse(value);
  return ParseModelConfig(DumpJson(json), "config.json");
}

absl::StatusOr<ModelConfig> ParseWithout(const ModelConfig& config, const std::string& field) {
  Json json = ToJson(config);
  json.erase(field);
  return ParseModelConfig(DumpJson(json), "config.json");
}

TEST(ModelConfigTest, ReadsBackWhatToJsonWrites) {
  const ModelConfig config = SmallMoeConfig();
  SDAR_ASSERT_OK_AND_ASSIGN(const ModelConfig read,
                            ParseModelConfig(DumpJson(ToJson(config)), "config.json"));
  EXPECT_EQ(DumpJson(ToJson(read)), DumpJson(ToJson(config)));
}

class RequiredFieldTest : public ::testing::TestWithParam<const char*> {};

TEST_P(RequiredFieldTest, IsNamedWhenAbsent) {
  EXPECT_THAT(ParseWithout(SmallMoeConfig(), GetParam()),
              StatusIs(kInvalid, AllOf(HasSubstr("config.json"), HasSubstr(GetParam()),
                                       HasSubstr("absent"))));
}

TEST_P(RequiredFieldTest, IsNamedWhenOfAnotherType) {
  EXPECT_THAT(ParseWith(SmallMoeConfig(), GetParam(), "[\"x\"]"),
              StatusIs(kInvalid, AllOf(HasSubstr(GetParam()), HasSubstr("expected"),
                                       HasSubstr("got [\"x\"]"))));
}

INSTANTIATE_TEST_SUITE_P(Fields, RequiredFieldTest,
                         ::testing::Values("model_type", "hidden_size", "num_hidden_layers",
                                           "num_attention_heads", "num_key_value_heads", "head_dim",
                                           "intermediate_size", "vocab_size", "rope_theta",
                                           "rms_norm_eps", "max_position_embeddings",
                                           "moe_intermediate_size", "num_experts",
                                           "num_experts_per_tok", "norm_topk_prob"));

struct RefusedValue {
  const char* field;
  const char* value;
};

class RefusedValueTest : public ::testing::TestWithParam<RefusedValue> {};

TEST_P(RefusedValueTest, IsNamed) {
  EXPECT_THAT(ParseWith(SmallMoeConfig(), GetParam().field, GetParam().value),
              StatusIs(kInvalid, HasSubstr(GetParam().field)));
}

INSTANTIATE_TEST_SUITE_P(
    Values, RefusedValueTest,
    ::testing::Values(
        RefusedValue{"model_type", "\"qwen3\""},
        RefusedValue{"quantization_config", "{\"quant_method\": \"awq\"}"},
        RefusedValue{"layer_types", "[\"full_attention\", \"sliding_attention\"]"},
        RefusedValue{"layer_types", "[\"full_attention\"]"}, RefusedValue{"num_local_experts", "7"},
        RefusedValue{"sliding_window", "4096"}, RefusedValue{"attention_bias", "true"},
        RefusedValue{"hidden_act", "\"gelu\""}, RefusedValue{"hidden_size", "0"},
        RefusedValue{"hidden_size", "-16"}, RefusedValue{"hidden_size", "1.5"},
        RefusedValue{"hidden_size", "18446744073709551615"},
        RefusedValue{"vocab_size", "4611686018427387904"},
        RefusedValue{"num_hidden_layers", "1000000"}, RefusedValue{"num_key_value_heads", "3"},
        RefusedValue{"head_dim", "7"}, RefusedValue{"num_experts_per_tok", "7"},
        RefusedValue{"decoder_sparse_step", "0"}, RefusedValue{"mlp_only_layers", "[-1]"},
        RefusedValue{"mlp_only_layers", "[\"0\"]"}, RefusedValue{"rope_theta", "0"},
        RefusedValue{"rms_norm_eps", "-1e-6"}, RefusedValue{"block_size", "0"},
        RefusedValue{"mask_token_id", "40"}, RefusedValue{"eos_token_id", "[1, 99]"},
        RefusedValue{"tie_word_embeddings", "\"yes\""}));

TEST(ModelConfigTest, AnUnknownModelTypeIsToldWhatIsSupported) {
  EXPECT_THAT(
      ParseWith(SmallDenseConfig(), "model_type", "\"llama\""),
      StatusIs(kInvalid, AllOf(HasSubstr("\"sdar\" or \"sdar_moe\""), HasSubstr("got \"llama\""))));
}

TEST(ModelConfigTest, ASlidingWindowThatIsNotUsedIsIgnored) {
  Json json = ToJson(SmallDenseConfig());
  json["sliding_window"] = 4096;
  json["use_sliding_window"] = false;
  EXPECT_THAT(ParseModelConfig(DumpJson(json), "config.json"), IsOk());
}

TEST(ModelConfigTest, ReadsTheNamesOfTransformersFive) {
  Json json = ToJson(SmallMoeConfig());
  json["num_local_experts"] = json["num_experts"];
  json.erase("num_experts");
  json["dtype"] = "float32";
  json.erase("torch_dtype");
  json["layer_types"] = std::vector<std::string>(2, "full_attention");
  json["transformers_version"] = "5.0.0";
  SDAR_ASSERT_OK_AND_ASSIGN(const ModelConfig config,
                            ParseModelConfig(DumpJson(json), "config.json"));
  EXPECT_EQ(config.num_experts, 6);
  EXPECT_EQ(config.dtype, "float32");
  EXPECT_THAT(config.unknown_fields, IsEmpty());
}

TEST(ModelConfigTest, FieldsThatAreNotKnownAreListed) {
  Json json = ToJson(SmallDenseConfig());
  json["attn_logit_softcapping"] = 50.0;
  json["a_null"] = nullptr;
  SDAR_ASSERT_OK_AND_ASSIGN(const ModelConfig config,
                            ParseModelConfig(DumpJson(json), "config.json"));
  EXPECT_THAT(config.unknown_fields, ElementsAre("attn_logit_softcapping"));
}

TEST(ModelConfigTest, NullFeaturesAreAccepted) {
  EXPECT_THAT(ParseWith(SmallDenseConfig(), "rope_scaling", "null"), IsOk());
  EXPECT_THAT(ParseWith(SmallDenseConfig(), "sliding_window", "null"), IsOk());
}

TEST(ModelConfigTest, AbsentSparsityFieldsMeanEveryLayerHasExperts) {
  Json json = ToJson(SmallMoeConfig());
  json.erase("decoder_sparse_step");
  json.erase("mlp_only_layers");
  SDAR_ASSERT_OK_AND_ASSIGN(const ModelConfig config,
                            ParseModelConfig(DumpJson(json), "config.json"));
  EXPECT_EQ(config.NumSparseLayers(), config.num_layers);
}

TEST(ModelConfigTest, SparseLayersFollowStepAndExceptions) {
  ModelConfig config = SmallMoeConfig();
  config.num_layers = 4;
  config.decoder_sparse_step = 2;
  config.mlp_only_layers = {3};
  EXPECT_FALSE(config.IsSparse(0));
  EXPECT_TRUE(config.IsSparse(1));
  EXPECT_FALSE(config.IsSparse(2));
  EXPECT_FALSE(config.IsSparse(3));
}

TEST(ModelConfigTest, AnAbsentTieStaysOpen) {
  SDAR_ASSERT_OK_AND_ASSIGN(const ModelConfig config,
                            ParseWithout(SmallDenseConfig(), "tie_word_embeddings"));
  EXPECT_FALSE(config.tie_word_embeddings.has_value());
}

TEST(ModelConfigTest, AnEndTokenMayBeOneIdOrAList) {
  SDAR_ASSERT_OK_AND_ASSIGN(ModelConfig config, ParseWith(SmallDenseConfig(), "eos_token_id", "7"));
  EXPECT_THAT(config.eos_token_ids, ElementsAre(7));
  SDAR_ASSERT_OK_AND_ASSIGN(config, ParseWith(SmallDenseConfig(), "eos_token_id", "[7, 8]"));
  EXPECT_THAT(config.eos_token_ids, ElementsAre(7, 8));
}

TEST(ModelConfigTest, ANonObjectIsRefused) {
  EXPECT_THAT(ParseModelConfig("[]", "config.json"), StatusIs(kInvalid, HasSubstr("JSON object")));
}

TEST(ModelConfigTest, AMissingFileIsNamed) {
  const TempFolder folder;
  EXPECT_THAT(LoadModelConfig(folder.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("config.json")));
}

TEST(ModelConfigTest, CountsTheParametersOfEveryTensor) {
  for (const ModelConfig& config : {SmallDenseConfig(), SmallMoeConfig()}) {
    int64_t count = 0;
    for (const TensorSpec& spec : ExpectedTensors(config)) {
      int64_t size = 1;
      for (int64_t dimension : spec.shape) size *= dimension;
      count += size;
    }
    EXPECT_EQ(config.NumParameters(), count);
  }
}

TEST(ModelConfigTest, TheLargePublishedModelHasItsPublishedSize) {
  SDAR_ASSERT_OK_AND_ASSIGN(const ModelConfig config, SyntheticConfig("30b-a3b"));
  EXPECT_NEAR(static_cast<double>(config.NumParameters()) * 2 / 1e9, 61.06, 0.01);
}

}  // namespace
}  // namespace sdar
