// SPDX-License-Identifier: Apache-2.0
#include "runtime/request/request_json.h"

#include "absl/strings/numbers.h"

#include "common/json_fields.h"
#include "common/shorten.h"
#include "common/status_macros.h"

namespace sdar {
namespace {

absl::Status ReadStrategy(const Json& value, std::optional<RemaskingStrategy>& out) {
  std::string name;
  SDAR_RETURN_IF_ERROR(ReadValue(value, name));
  SDAR_ASSIGN_OR_RETURN(out, ParseRemaskingStrategy(Shorten(name)));
  return absl::OkStatus();
}

// {"TOKEN ID": BIAS}
absl::Status ReadBias(const Json& value, std::vector<std::pair<TokenId, float>>& out) {
  if (!value.is_object()) return Mistyped("an object from token ids to numbers", value);
  for (const auto& [key, bias] : value.items()) {
    TokenId id = 0;
    double number = 0;
    if (!absl::SimpleAtoi(key, &id)) return Mistyped("token ids as keys", Json(key));
    SDAR_RETURN_IF_ERROR(ReadValue(bias, number));
    out.emplace_back(id, static_cast<float>(number));
  }
  return absl::OkStatus();
}

// A string or a list of strings.
absl::Status ReadStop(const Json& value, std::vector<std::string>& out) {
  if (value.is_string()) return ReadValue(value, out.emplace_back());
  return ReadValue(value, out);
}

// "auto", "off" or a number.
absl::Status ReadDrafts(const Json& value, std::optional<int64_t>& out) {
  if (!value.is_string()) return ReadValue(value, out);
  SDAR_ASSIGN_OR_RETURN(out, ParseDrafts(Shorten(value.get_ref<const std::string&>())));
  return absl::OkStatus();
}

}  // namespace

absl::flat_hash_map<std::string, JsonReader> RequestFieldReaders(RequestFields& f) {
  const auto into = [](auto& target) {
    return JsonReader([&target](const Json& value) { return ReadValue(value, target); });
  };
  return {
      {"temperature", into(f.temperature)},
      {"top_k", into(f.top_k)},
      {"top_p", into(f.top_p)},
      {"min_p", into(f.min_p)},
      {"repetition_penalty", into(f.repetition_penalty)},
      {"presence_penalty", into(f.presence_penalty)},
      {"frequency_penalty", into(f.frequency_penalty)},
      {"logit_bias", [&f](const Json& value) { return ReadBias(value, f.logit_bias); }},
      {"seed", into(f.seed)},
      {"n", into(f.n)},
      {"block_length", into(f.block_length)},
      {"denoising_steps", into(f.denoising_steps)},
      {"remasking_strategy",
       [&f](const Json& value) { return ReadStrategy(value, f.remasking_strategy); }},
      {"confidence_threshold", into(f.confidence_threshold)},
      {"entropy_bound", into(f.entropy_bound)},
      {"max_tokens", into(f.max_tokens)},
      {"min_tokens", into(f.min_tokens)},
      {"stop", [&f](const Json& value) { return ReadStop(value, f.stop); }},
      {"stop_token_ids", into(f.stop_token_ids)},
      {"ignore_eos", into(f.ignore_eos)},
      {"skip_special_tokens", into(f.skip_special_tokens)},
      {"logprobs", into(f.logprobs)},
      {"priority", into(f.priority)},
      {"drafts", [&f](const Json& value) { return ReadDrafts(value, f.drafts); }},
  };
}

}  // namespace sdar
