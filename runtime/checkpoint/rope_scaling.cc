// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/rope_scaling.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace sdar {
namespace {

constexpr double kMaxTheta = 1e12;
constexpr double kMaxFactor = 1e6;
constexpr double kMaxBeta = 1e6;
constexpr int64_t kMaxOriginalPositions = int64_t{1} << 30;

// Keys of the object that every type may have, and those that yarn adds.
constexpr absl::string_view kCommonKeys[] = {"rope_type", "type", "rope_theta",
                                             "partial_rotary_factor"};
constexpr absl::string_view kYarnKeys[] = {"factor",         "original_max_position_embeddings",
                                           "beta_fast",      "beta_slow",
                                           "truncate",       "mscale",
                                           "mscale_all_dim", "attention_factor"};

bool Contains(absl::Span<const absl::string_view> keys, absl::string_view key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

bool MayHave(RopeType type, absl::string_view key) {
  if (Contains(kCommonKeys, key)) return true;
  if (type == RopeType::kYarn) return Contains(kYarnKeys, key);
  return type == RopeType::kLinear && key == "factor";
}

RopeType ReadType(JsonFields& fields) {
  const absl::string_view key = fields.Has("rope_type") ? "rope_type" : "type";
  const std::string name = fields.OptionalText(key).value_or("default");
  for (const RopeType type : {RopeType::kDefault, RopeType::kLinear, RopeType::kYarn}) {
    if (name == Name(type)) return type;
  }
  fields.Refuse(key, "\"default\", \"linear\" or \"yarn\" (others are not supported)");
  return RopeType::kDefault;
}

void ReadYarn(JsonFields& fields, int64_t max_position_embeddings, RopeScaling& scaling) {
  scaling.original_max_position_embeddings =
      fields.OptionalInt("original_max_position_embeddings", {1, kMaxOriginalPositions})
          .value_or(max_position_embeddings);
  // transformers 5 takes the ratio of the two lengths where the factor is null.
  if (!fields.Has("factor")) {
    scaling.factor =
        std::max(1.0, static_cast<double>(max_position_embeddings) /
                          static_cast<double>(scaling.original_max_position_embeddings));
  }
  // Zero means the default, as in transformers.
  const auto beta = [&](absl::string_view key, double& value) {
    const double read = fields.OptionalNumber(key, 0.0, kMaxBeta).value_or(0.0);
    if (read > 0.0) value = read;
  };
  beta("beta_fast", scaling.beta_fast);
  beta("beta_slow", scaling.beta_slow);
  scaling.truncate = fields.OptionalBool("truncate").value_or(true);
  if (fields.Has("attention_factor")) {
    scaling.attention_factor = fields.PositiveNumber("attention_factor", kMaxFactor);
  }
  scaling.mscale = fields.OptionalNumber("mscale", 0.0, kMaxFactor);
  scaling.mscale_all_dim = fields.OptionalNumber("mscale_all_dim", 0.0, kMaxFactor);
}

RopeScaling ReadScaling(const Json& object, JsonFields& fields, int64_t max_position_embeddings) {
  RopeScaling scaling;
  scaling.type = ReadType(fields);
  if (!fields.status().ok()) return scaling;
  for (const auto& [key, value] : object.items()) {
    if (value.is_null() || MayHave(scaling.type, key)) continue;
    fields.Refuse(key, absl::StrCat("it to be absent where rope_type is \"", Name(scaling.type),
                                    "\" (not supported)"));
  }
  if (fields.OptionalNumber("partial_rotary_factor", 0.0, 1.0).value_or(1.0) != 1.0) {
    fields.Refuse("partial_rotary_factor", "1 (not supported)");
  }
  if (scaling.type == RopeType::kYarn) ReadYarn(fields, max_position_embeddings, scaling);
  const bool required = scaling.type == RopeType::kLinear;
  if (required || (scaling.type == RopeType::kYarn && fields.Has("factor"))) {
    scaling.factor = fields.PositiveNumber("factor", kMaxFactor);
    if (scaling.factor < 1.0) fields.Refuse("factor", "a number of at least 1");
  }
  return scaling;
}

// The object at `key`: null where it is absent, or where it says nothing.
const Json* FindObject(JsonFields& fields, absl::string_view key) {
  const Json* object = fields.Object(key);
  if (object == nullptr || object->empty()) return nullptr;
  // transformers 5 may keep one object for each kind of layer; all of ours are of this one.
  const auto full = object->find("full_attention");
  return full != object->end() && full->is_object() ? &*full : object;
}

bool Differ(const RopeScaling& a, const RopeScaling& b) { return ToJson(a) != ToJson(b); }

}  // namespace

absl::string_view Name(RopeType type) {
  switch (type) {
    case RopeType::kLinear:
      return "linear";
    case RopeType::kYarn:
      return "yarn";
    case RopeType::kDefault:
      break;
  }
  return "default";
}

RopeFields ReadRope(JsonFields& fields, int64_t max_position_embeddings) {
  RopeFields rope;
  std::optional<double> theta;
  if (fields.Has("rope_theta")) theta = fields.PositiveNumber("rope_theta", kMaxTheta);
  std::optional<RopeScaling> first;
  for (const absl::string_view key : {"rope_scaling", "rope_parameters"}) {
    const Json* object = FindObject(fields, key);
    if (object == nullptr) continue;
    JsonFields inner(*object, absl::StrCat(fields.source(), ": in ", key));
    const RopeScaling scaling = ReadScaling(*object, inner, max_position_embeddings);
    if (inner.Has("rope_theta")) {
      const double value = inner.PositiveNumber("rope_theta", kMaxTheta);
      // Versions of transformers disagree about which of two would count.
      if (theta.has_value() && *theta != value) {
        inner.Refuse("rope_theta", absl::StrCat("the value given elsewhere, ", *theta));
      }
      theta = value;
    }
    fields.Adopt(inner.status());
    if (first.has_value() && Differ(*first, scaling)) {
      fields.Refuse(key, "the same as rope_scaling");
    }
    if (!first.has_value()) first = scaling;
  }
  if (first.has_value()) rope.scaling = *first;
  rope.theta = theta.has_value() ? *theta : fields.PositiveNumber("rope_theta", kMaxTheta);
  return rope;
}

Json ToJson(const RopeScaling& scaling) {
  Json json = {{"rope_type", std::string(Name(scaling.type))}};
  if (scaling.type == RopeType::kDefault) return json;
  json["factor"] = scaling.factor;
  if (scaling.type == RopeType::kLinear) return json;
  json["original_max_position_embeddings"] = scaling.original_max_position_embeddings;
  json["beta_fast"] = scaling.beta_fast;
  json["beta_slow"] = scaling.beta_slow;
  json["truncate"] = scaling.truncate;
  if (scaling.attention_factor) json["attention_factor"] = *scaling.attention_factor;
  if (scaling.mscale) json["mscale"] = *scaling.mscale;
  if (scaling.mscale_all_dim) json["mscale_all_dim"] = *scaling.mscale_all_dim;
  return json;
}

}  // namespace sdar
