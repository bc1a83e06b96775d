// SPDX-License-Identifier: Apache-2.0
#include "bench/load/load_plan.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

// Special tokens have the last ids of a vocabulary, so the ids before the first of them are plain;
// where most are not, all ids have to do.
uint32_t NumPlainIds(const sdar::v1::GetModelInfoResponse& model) {
  uint32_t first_special = std::min(model.vocab_size(), model.mask_token_id());
  for (uint32_t id : model.eos_token_ids()) first_special = std::min(first_special, id);
  return first_special >= model.vocab_size() / 2 ? first_special : model.vocab_size();
}

}  // namespace

absl::StatusOr<LoadPlan> LoadPlan::Create(const LoadOptions& options,
                                          const sdar::v1::GetModelInfoResponse& model) {
  SDAR_ASSIGN_OR_RETURN(LengthDistribution prompt,
                        LengthDistribution::Parse("prompt-tokens", options.prompt_tokens));
  SDAR_ASSIGN_OR_RETURN(LengthDistribution output,
                        LengthDistribution::Parse("output-tokens", options.output_tokens));
  if (model.vocab_size() == 0) {
    return absl::InvalidArgumentError("the server's model has no vocabulary");
  }
  const int64_t longest = options.shared_prefix + prompt.max() + output.max();
  if (longest > model.max_sequence_length()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--shared-prefix, --prompt-tokens and --output-tokens: expected at most ",
                     model.max_sequence_length(), " tokens together, got up to ", longest));
  }
  return LoadPlan(options, prompt, output, NumPlainIds(model));
}

LoadPlan::LoadPlan(const LoadOptions& options, LengthDistribution prompt, LengthDistribution output,
                   uint32_t num_ids)
    : options_(options),
      prompt_(prompt),
      output_(output),
      num_ids_(num_ids),
      random_(options.seed) {
  prefixes_.resize(options.shared_prefix > 0 ? static_cast<size_t>(options.prefix_groups) : 0);
  for (sdar::v1::TokenIds& prefix : prefixes_) AddIds(options.shared_prefix, prefix);
}

void LoadPlan::AddIds(int64_t count, sdar::v1::TokenIds& ids) {
  for (int64_t i = 0; i < count; ++i) {
    ids.add_ids(static_cast<uint32_t>(DrawUnit(random_) * num_ids_));
  }
}

PlannedCall LoadPlan::Next() {
  PlannedCall call;
  if (options_.is_open_loop()) {
    seconds_ += -std::log1p(-DrawUnit(random_)) / options_.rate;
    call.arrival = absl::Seconds(seconds_);
  }
  if (!prefixes_.empty()) {
    const double group = DrawUnit(random_) * static_cast<double>(prefixes_.size());
    *call.request.mutable_prompt_ids() = prefixes_[static_cast<size_t>(group)];
  }
  AddIds(prompt_.Draw(random_), *call.request.mutable_prompt_ids());
  const int64_t output = output_.Draw(random_);
  call.request.mutable_stopping()->set_max_tokens(static_cast<uint32_t>(output));
  call.request.mutable_stopping()->set_ignore_eos(true);
  call.request.mutable_sampling()->set_seed(options_.seed + num_calls_++);
  call.request.mutable_output()->set_provisional(options_.provisional);
  if (options_.timeout_seconds > 0) {
    call.request.mutable_scheduling()->set_timeout_seconds(options_.timeout_seconds);
  }
  if (DrawUnit(random_) < options_.cancel_fraction) {
    call.cancel_after_tokens =
        1 + static_cast<int64_t>(DrawUnit(random_) * static_cast<double>(output));
  }
  return call;
}

}  // namespace sdar
