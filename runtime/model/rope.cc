// SPDX-License-Identifier: Apache-2.0
#include "runtime/model/rope.h"

#include <algorithm>
#include <cmath>

namespace sdar {
namespace {

constexpr double kPi = 3.14159265358979323846;

// By which yarn raises logits of attention, for a stretch of `scale`.
double MagnitudeScale(double scale, double weight) {
  return scale <= 1.0 ? 1.0 : 0.1 * weight * std::log(scale) + 1.0;
}

double AttentionFactor(const RopeScaling& scaling) {
  if (scaling.attention_factor) return *scaling.attention_factor;
  const double mscale = scaling.mscale.value_or(0.0);
  const double all = scaling.mscale_all_dim.value_or(0.0);
  if (mscale == 0.0 || all == 0.0) return MagnitudeScale(scaling.factor, 1.0);
  return MagnitudeScale(scaling.factor, mscale) / MagnitudeScale(scaling.factor, all);
}

// The pair of dimensions, as a real number, that turns `turns` times in the trained length.
double PairThatTurns(double turns, const ModelConfig& config) {
  const auto trained = static_cast<double>(config.rope_scaling.original_max_position_embeddings);
  return static_cast<double>(config.head_dim) * std::log(trained / (turns * 2.0 * kPi)) /
         (2.0 * std::log(config.rope_theta));
}

// The ramp of yarn over pairs: 0 where frequencies are kept, 1 where they are slowed.
class YarnRamp {
 public:
  explicit YarnRamp(const ModelConfig& config) {
    const RopeScaling& scaling = config.rope_scaling;
    double low = PairThatTurns(scaling.beta_fast, config);
    double high = PairThatTurns(scaling.beta_slow, config);
    if (scaling.truncate) {
      low = std::floor(low);
      high = std::ceil(high);
    }
    low_ = std::max(low, 0.0);
    high_ = std::min(high, static_cast<double>(config.head_dim - 1));
    if (low_ == high_) high_ += 0.001;
  }

  float At(size_t pair) const {
    const float position =
        (static_cast<float>(pair) - static_cast<float>(low_)) / static_cast<float>(high_ - low_);
    return std::clamp(position, 0.0f, 1.0f);
  }

 private:
  double low_ = 0.0;
  double high_ = 0.0;
};

}  // namespace

RopeTable MakeRopeTable(const ModelConfig& config) {
  const RopeScaling& scaling = config.rope_scaling;
  const auto theta = static_cast<float>(config.rope_theta);
  const auto factor = static_cast<float>(scaling.factor);
  const YarnRamp ramp(config);
  RopeTable table;
  table.frequencies.resize(static_cast<size_t>(config.head_dim / 2));
  for (size_t pair = 0; pair < table.frequencies.size(); ++pair) {
    const float exponent = static_cast<float>(2 * pair) / static_cast<float>(config.head_dim);
    const float period = std::pow(theta, exponent);
    float frequency = 1.0f / period;
    if (scaling.type == RopeType::kLinear) frequency /= factor;
    if (scaling.type == RopeType::kYarn) {
      const float kept = 1.0f - ramp.At(pair);
      frequency = 1.0f / (factor * period) * (1.0f - kept) + frequency * kept;
    }
    table.frequencies[pair] = frequency;
  }
  if (scaling.type == RopeType::kYarn) table.scale = static_cast<float>(AttentionFactor(scaling));
  return table;
}

}  // namespace sdar
