// SPDX-License-Identifier: Apache-2.0
#include "runtime/diffusion/decoding_options.h"

#include <cmath>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr RemaskingStrategy kStrategies[] = {
    RemaskingStrategy::kSequential, RemaskingStrategy::kLowConfidenceStatic,
    RemaskingStrategy::kLowConfidenceDynamic, RemaskingStrategy::kEntropyBounded};

constexpr double kMaxTemperature = 100;
constexpr double kMaxBias = 100;

// OK when low <= value <= high; NaN is not.
absl::Status InRange(absl::string_view field, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": expected ", low, " .. ", high, ", got ", value));
}

}  // namespace

absl::string_view Name(RemaskingStrategy strategy) {
  switch (strategy) {
    case RemaskingStrategy::kSequential:
      return "sequential";
    case RemaskingStrategy::kLowConfidenceStatic:
      return "low_confidence_static";
    case RemaskingStrategy::kLowConfidenceDynamic:
      return "low_confidence_dynamic";
    case RemaskingStrategy::kEntropyBounded:
      return "entropy_bounded";
  }
  return "unknown";
}

absl::StatusOr<RemaskingStrategy> ParseRemaskingStrategy(absl::string_view name) {
  for (RemaskingStrategy strategy : kStrategies) {
    if (name == Name(strategy)) return strategy;
  }
  const std::string names = absl::StrJoin(
      kStrategies, ", ",
      [](std::string* out, RemaskingStrategy strategy) { absl::StrAppend(out, Name(strategy)); });
  return absl::InvalidArgumentError(
      absl::StrCat("remasking_strategy '", name, "': expected one of ", names));
}

absl::Status RemaskingOptions::Validate() const {
  SDAR_RETURN_IF_ERROR(InRange("block_length", block_length, 1, 1024));
  SDAR_RETURN_IF_ERROR(InRange("denoising_steps", denoising_steps, 1, block_length));
  SDAR_RETURN_IF_ERROR(InRange("confidence_threshold", confidence_threshold, 0, 1));
  return InRange("entropy_bound", entropy_bound, 0, 1e6);
}

absl::Status SamplingOptions::Validate(int64_t vocab_size) const {
  SDAR_RETURN_IF_ERROR(InRange("temperature", temperature, 0, kMaxTemperature));
  if (temperature > 0 && temperature < 1e-4) {
    return absl::InvalidArgumentError(
        absl::StrCat("temperature: expected 0 (greedy) or at least 0.0001, got ", temperature));
  }
  SDAR_RETURN_IF_ERROR(InRange("top_k", static_cast<double>(top_k), 0, 1e9));
  SDAR_RETURN_IF_ERROR(InRange("top_p", top_p, 0, 1));
  SDAR_RETURN_IF_ERROR(InRange("min_p", min_p, 0, 1));
  SDAR_RETURN_IF_ERROR(InRange("repetition_penalty", repetition_penalty, 0.01, 100));
  SDAR_RETURN_IF_ERROR(InRange("presence_penalty", presence_penalty, -2, 2));
  SDAR_RETURN_IF_ERROR(InRange("frequency_penalty", frequency_penalty, -2, 2));
  std::set<TokenId> seen;
  for (const auto& [id, bias] : logit_bias) {
    if (id < 0 || id >= vocab_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("logit_bias: expected token ids below ", vocab_size, ", got ", id));
    }
    if (!seen.insert(id).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("logit_bias: token id ", id, " appears twice"));
    }
    SDAR_RETURN_IF_ERROR(
        InRange(absl::StrCat("logit_bias of token ", id), double{bias}, -kMaxBias, kMaxBias));
  }
  return absl::OkStatus();
}

}  // namespace sdar
