// SPDX-License-Identifier: Apache-2.0
#include "runtime/request/generation_request.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

#include "common/context_length.h"
#include "common/status_macros.h"
#include "runtime/grammar/tokens/token_grammar.h"

namespace sdar {
namespace {

absl::Status ValidateIds(absl::string_view field, absl::Span<const TokenId> ids,
                         int64_t vocab_size) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < vocab_size) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(field, "[", i, "]: expected a token id below ", vocab_size, ", got ", ids[i]));
  }
  return absl::OkStatus();
}

bool IsForbidden(TokenId id, const RequestLimits& limits) {
  const auto after =
      std::upper_bound(limits.forbidden.begin(), limits.forbidden.end(), id,
                       [](TokenId value, const auto& range) { return value < range.first; });
  return after != limits.forbidden.begin() && id < std::prev(after)->second;
}

// A position at which no token may be chosen would have nothing to become.
absl::Status CheckSomethingIsAllowed(const StoppingOptions& stopping, const RequestLimits& limits) {
  int64_t left = limits.vocab_size;
  for (const auto& [begin, end] : limits.forbidden) left -= end - begin;
  if (stopping.min_tokens > 0) {
    for (TokenId id : stopping.stop_ids) left -= IsForbidden(id, limits) ? 0 : 1;
  }
  if (left > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "stop_token_ids: min_tokens forbids them, and no other token is left to choose");
}

absl::Status ValidateStopping(const StoppingOptions& stopping) {
  if (stopping.min_tokens < 0 || stopping.min_tokens > stopping.max_tokens) {
    return absl::InvalidArgumentError(absl::StrCat("min_tokens: expected 0 .. max_tokens (",
                                                   stopping.max_tokens, "), got ",
                                                   stopping.min_tokens));
  }
  if (stopping.stop.size() > kMaxStopStrings) {
    return absl::InvalidArgumentError(absl::StrCat("stop: expected at most ", kMaxStopStrings,
                                                   " strings, got ", stopping.stop.size()));
  }
  for (const std::string& stop : stopping.stop) {
    if (stop.empty() || stop.size() > kMaxStopStringBytes) {
      return absl::InvalidArgumentError(absl::StrCat("stop: expected strings of 1 .. ",
                                                     kMaxStopStringBytes, " bytes, got one of ",
                                                     stop.size()));
    }
  }
  return absl::OkStatus();
}

// What a request asks for; max_tokens only where the prompt alone would have fitted, for else
// nobody need have sent it.
std::string Asked(const GenerationRequest& request, int64_t longest) {
  const auto prompt_length = static_cast<int64_t>(request.prompt.size());
  const std::string prompt = absl::StrCat("The prompt has ", prompt_length, " tokens");
  if (request.scores()) {
    return absl::StrCat(prompt, ", and the continuation ", request.targets.size(), ".");
  }
  if (prompt_length >= longest) return prompt + ".";
  return absl::StrCat(prompt, ", and max_tokens is ", request.stopping.max_tokens, ".");
}

absl::Status ValidateLength(const GenerationRequest& request, const RequestLimits& limits) {
  const int64_t longest = limits.max_sequence_length;
  // First alone: the sum might not be a number.
  if (request.stopping.max_tokens <= longest && request.max_length() <= longest) {
    return absl::OkStatus();
  }
  return ContextLengthExceeded(absl::StatusCode::kInvalidArgument, longest,
                               Asked(request, longest));
}

// An answer that must be valid needs its tokens, and ends where it is complete.
absl::Status ValidateStructure(const GenerationRequest& request) {
  if (request.grammar == nullptr) return absl::OkStatus();
  const StoppingOptions& stopping = request.stopping;
  if (stopping.min_tokens > 0) {
    return absl::InvalidArgumentError(
        "min_tokens: a structured answer ends where it is complete, so it must be 0");
  }
  const int64_t least = request.grammar->LeastTokens(request.grammar->start()) + 1;
  if (stopping.max_tokens >= least) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("max_tokens: the shortest answer of this structure takes ", least,
                   " tokens with its end, got ", stopping.max_tokens));
}

// What only a request that generates has.
absl::Status ValidateGeneration(const GenerationRequest& request, const RequestLimits& limits) {
  if (request.prompt.empty()) return absl::InvalidArgumentError("prompt: it is empty");
  SDAR_RETURN_IF_ERROR(ValidateIds("prompt", request.prompt, limits.vocab_size));
  SDAR_RETURN_IF_ERROR(ValidateIds("stop_token_ids", request.stopping.stop_ids, limits.vocab_size));
  if (request.stopping.max_tokens < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_tokens: expected at least 1, got ", request.stopping.max_tokens));
  }
  SDAR_RETURN_IF_ERROR(ValidateLength(request, limits));
  SDAR_RETURN_IF_ERROR(ValidateStopping(request.stopping));
  SDAR_RETURN_IF_ERROR(CheckSomethingIsAllowed(request.stopping, limits));
  SDAR_RETURN_IF_ERROR(ValidateStructure(request));
  return request.sampling.Validate(limits.vocab_size);
}

absl::Status ValidateTargets(const GenerationRequest& request, const RequestLimits& limits) {
  SDAR_RETURN_IF_ERROR(ValidateIds("prompt", request.prompt, limits.vocab_size));
  SDAR_RETURN_IF_ERROR(ValidateIds("continuation", request.targets, limits.vocab_size));
  return ValidateLength(request, limits);
}

}  // namespace

int64_t PagesNeeded(int64_t length, int block_length, int64_t page_size) {
  const int64_t blocks = (length + block_length - 1) / block_length;
  const int64_t committed = (blocks - 1) * block_length;
  return (committed + page_size - 1) / page_size;
}

namespace {

absl::Status CheckPages(const GenerationRequest& request, const RequestLimits& limits) {
  const int block_length = request.remasking.block_length;
  const int64_t pages = PagesNeeded(request.max_length(), block_length, limits.page_size);
  if (pages <= limits.num_pages) return absl::OkStatus();
  // The last block is never committed.
  const int64_t longest =
      std::min(limits.max_sequence_length, limits.num_pages * limits.page_size + block_length);
  return ContextLengthExceeded(
      absl::StatusCode::kResourceExhausted, longest,
      absl::StrCat(Asked(request, longest), " They need ", pages,
                   " pages of K/V memory; this job has ", limits.num_pages, "."));
}

}  // namespace

absl::Status ValidateRequest(const GenerationRequest& request, const RequestLimits& limits) {
  SDAR_RETURN_IF_ERROR(request.scores() ? ValidateTargets(request, limits)
                                        : ValidateGeneration(request, limits));
  SDAR_RETURN_IF_ERROR(request.remasking.Validate());
  const int block_length = request.remasking.block_length;
  if (limits.page_size % block_length != 0 || 2 * block_length > limits.max_batch_rows) {
    return absl::InvalidArgumentError(
        absl::StrCat("block_length: expected a divisor of the page size ", limits.page_size,
                     " with two blocks in ", limits.max_batch_rows, " rows, got ", block_length));
  }
  if (request.top_logprobs < 0 || request.top_logprobs > kMaxTopLogprobs) {
    return absl::InvalidArgumentError(absl::StrCat(request.scores() ? "top_logprobs" : "logprobs",
                                                   ": expected 0 .. ", kMaxTopLogprobs, ", got ",
                                                   request.top_logprobs));
  }
  if (request.priority < -kMaxPriority || request.priority > kMaxPriority) {
    return absl::InvalidArgumentError(absl::StrCat("priority: expected -", kMaxPriority, " .. ",
                                                   kMaxPriority, ", got ", request.priority));
  }
  if (request.drafts < kAutomaticDrafts || request.drafts > kMaxDrafts) {
    return absl::InvalidArgumentError(absl::StrCat("drafts: expected auto, off or at most ",
                                                   kMaxDrafts, ", got ", request.drafts));
  }
  return CheckPages(request, limits);
}

}  // namespace sdar
