// SPDX-License-Identifier: Apache-2.0
#include "runtime/request/request_fields.h"

#include <algorithm>
#include <limits>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "common/draw_key.h"
#include "common/status_macros.h"
#include "runtime/grammar/structure/structure_compiler.h"

namespace sdar {
namespace {

uint64_t FreshSeed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

SamplingOptions BuildSampling(const RequestFields& fields, const RequestDefaults& defaults) {
  SamplingOptions sampling = DefaultSampling(defaults);
  sampling.temperature = fields.temperature.value_or(sampling.temperature);
  sampling.top_k = fields.top_k.value_or(sampling.top_k);
  sampling.top_p = fields.top_p.value_or(sampling.top_p);
  sampling.min_p = fields.min_p.value_or(sampling.min_p);
  sampling.repetition_penalty = fields.repetition_penalty.value_or(sampling.repetition_penalty);
  sampling.presence_penalty = fields.presence_penalty.value_or(0);
  sampling.frequency_penalty = fields.frequency_penalty.value_or(0);
  sampling.logit_bias = fields.logit_bias;
  return sampling;
}

// `value` as an int, or InvalidArgument.
absl::StatusOr<int> Narrow(absl::string_view field, int64_t value) {
  if (value >= 0 && value <= std::numeric_limits<int>::max()) return static_cast<int>(value);
  return absl::InvalidArgumentError(absl::StrCat(field, ": got ", value));
}

absl::StatusOr<RemaskingOptions> BuildRemasking(const RequestFields& fields,
                                                const RequestDefaults& defaults) {
  RemaskingOptions remasking = DefaultRemasking(defaults);
  SDAR_ASSIGN_OR_RETURN(
      remasking.block_length,
      Narrow("block_length", fields.block_length.value_or(defaults.block_length)));
  SDAR_ASSIGN_OR_RETURN(
      remasking.denoising_steps,
      Narrow("denoising_steps", fields.denoising_steps.value_or(remasking.block_length)));
  remasking.strategy = fields.remasking_strategy.value_or(remasking.strategy);
  remasking.confidence_threshold =
      fields.confidence_threshold.value_or(remasking.confidence_threshold);
  remasking.entropy_bound = fields.entropy_bound.value_or(remasking.entropy_bound);
  return remasking;
}

// What the sequence limit and the K/V memory leave after the prompt; at least 1, so that a prompt
// that is too long is refused by name.
int64_t TokensThatFit(int64_t prompt_length, int block_length, const RequestLimits& limits) {
  const int64_t in_memory = limits.num_pages * limits.page_size + block_length;
  return std::max<int64_t>(1, std::min(limits.max_sequence_length, in_memory) - prompt_length);
}

StoppingOptions BuildStopping(const RequestFields& fields, const GenerationDefaults& model,
                              int64_t tokens_that_fit) {
  StoppingOptions stopping;
  stopping.max_tokens = fields.max_tokens.value_or(tokens_that_fit);
  stopping.min_tokens = fields.min_tokens.value_or(0);
  stopping.stop = fields.stop;
  std::vector<TokenId> ids = fields.stop_token_ids;
  if (!fields.ignore_eos.value_or(false)) {
    ids.insert(ids.end(), model.eos_token_ids.begin(), model.eos_token_ids.end());
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  stopping.stop_ids = std::move(ids);
  return stopping;
}

// Longer lists say nothing that shorter ones could not.
absl::Status CheckListLength(absl::string_view field, size_t length, int64_t vocab_size) {
  if (static_cast<int64_t>(length) <= vocab_size) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": expected at most ", vocab_size, " ids, as there are, got ", length));
}

}  // namespace

SamplingOptions DefaultSampling(const RequestDefaults& defaults) {
  const GenerationDefaults& model = defaults.generation;
  SamplingOptions sampling;
  if (model.do_sample) {
    sampling.temperature = model.temperature.value_or(1.0);
    sampling.top_k = model.top_k.value_or(0);
    sampling.top_p = model.top_p.value_or(1.0);
    sampling.min_p = model.min_p.value_or(sampling.min_p);
  }
  sampling.repetition_penalty = model.repetition_penalty.value_or(1);
  return sampling;
}

RemaskingOptions DefaultRemasking(const RequestDefaults& defaults) {
  RemaskingOptions remasking;
  remasking.block_length = static_cast<int>(defaults.block_length);
  remasking.denoising_steps = remasking.block_length;
  return remasking;
}

absl::StatusOr<DraftCount> ParseDrafts(absl::string_view text) {
  if (text == "auto") return DraftCount{kAutomaticDrafts};
  if (text == "off") return DraftCount{0};
  int64_t count = 0;
  if (absl::SimpleAtoi(text, &count) && count >= 0) return DraftCount{count};
  return absl::InvalidArgumentError(
      absl::StrCat("drafts: expected auto, off or a number, got '", text, "'"));
}

absl::Status CompileStructure(grammar::StructureCompiler* structures, GenerationRequest& request) {
  if (request.structure.empty()) return absl::OkStatus();
  if (structures == nullptr) return absl::InvalidArgumentError("this job has no text");
  const SharedList<TokenId>& stop_ids = request.stopping.stop_ids;
  if (stop_ids.empty()) {
    return absl::InvalidArgumentError(
        "a structured answer ends with an end token, and ignore_eos leaves none");
  }
  SDAR_ASSIGN_OR_RETURN(const grammar::StructureSpec spec,
                        grammar::StructureSpec::FromText(request.structure));
  SDAR_ASSIGN_OR_RETURN(request.grammar, structures->Compile(spec, stop_ids));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<GenerationRequest>> BuildRequests(const RequestFields& fields,
                                                             std::vector<TokenId> prompt,
                                                             const RequestDefaults& defaults,
                                                             const RequestLimits& limits) {
  const int64_t n = fields.n.value_or(1);
  if (n < 1 || n > kMaxSamples) {
    return absl::InvalidArgumentError(absl::StrCat("n: expected 1 .. ", kMaxSamples, ", got ", n));
  }
  SDAR_RETURN_IF_ERROR(
      CheckListLength("stop_token_ids", fields.stop_token_ids.size(), limits.vocab_size));
  SDAR_RETURN_IF_ERROR(CheckListLength("logit_bias", fields.logit_bias.size(), limits.vocab_size));
  GenerationRequest request;
  request.sampling = BuildSampling(fields, defaults);
  SDAR_ASSIGN_OR_RETURN(request.remasking, BuildRemasking(fields, defaults));
  const int64_t fits =
      TokensThatFit(static_cast<int64_t>(prompt.size()), request.remasking.block_length, limits);
  request.stopping = BuildStopping(fields, defaults.generation, fits);
  request.prompt = std::move(prompt);
  request.skip_special_tokens = fields.skip_special_tokens.value_or(true);
  SDAR_ASSIGN_OR_RETURN(request.top_logprobs, Narrow("logprobs", fields.logprobs.value_or(0)));
  // Far beyond what ValidateRequest takes, and within an int.
  request.priority = static_cast<int>(
      std::clamp<int64_t>(fields.priority.value_or(0), -kMaxPriority - 1, kMaxPriority + 1));
  const int64_t drafts = fields.drafts ? fields.drafts->value : defaults.drafts;
  request.drafts =
      static_cast<int>(std::clamp<int64_t>(drafts, kAutomaticDrafts - 1, kMaxDrafts + 1));
  if (fields.structure) {
    grammar::StructureSpec structure = *fields.structure;
    if (defaults.structures != nullptr && defaults.structures->EndsInThinking(request.prompt)) {
      structure.after_thinking = true;
    }
    request.structure = structure.ToText();
  }
  if (const absl::Status compiled = CompileStructure(defaults.structures.get(), request);
      !compiled.ok()) {
    return absl::Status(compiled.code(),
                        absl::StrCat(fields.structure->field, ": ", compiled.message()));
  }
  SDAR_RETURN_IF_ERROR(ValidateRequest(request, limits));

  const uint64_t seed = fields.seed ? *fields.seed : FreshSeed();
  std::vector<GenerationRequest> samples(static_cast<size_t>(n), request);
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i].sampling.seed = DeriveSeed(seed, static_cast<uint32_t>(i));
  }
  return samples;
}

}  // namespace sdar
