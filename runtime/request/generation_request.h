// SPDX-License-Identifier: Apache-2.0
// What one sequence is asked to produce, and what it reports while it does.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "common/ids.h"
#include "common/shared_list.h"
#include "common/steady_time.h"
#include "runtime/diffusion/block_state.h"
#include "runtime/diffusion/decoding_options.h"

namespace sdar {

namespace grammar {
class TokenGrammar;
}  // namespace grammar

struct StoppingOptions {
  int64_t max_tokens = 0;         // output tokens at most; at least 1
  int64_t min_tokens = 0;         // no stop before this many
  std::vector<std::string> stop;  // stop strings; none empty
  // The model's end tokens (unless ignored) and the request's own; ascending, distinct.
  SharedList<TokenId> stop_ids;
};

// One sample of one request, its seed already derived. With targets it scores them and generates
// nothing: the options of sampling, remasking (but for the block length) and stopping mean nothing.
struct GenerationRequest {
  std::vector<TokenId> prompt;
  // Tokens after the prompt that are given. Each is reported with its logprob (docs/design.md,
  // section 5.14). Empty: the sequence generates.
  std::vector<TokenId> targets;
  SamplingOptions sampling;
  RemaskingOptions remasking;
  StoppingOptions stopping;
  // What the answer must be, as grammar::StructureSpec::ToText, and the same compiled; empty and
  // null: anything.
  std::string structure;
  std::shared_ptr<grammar::TokenGrammar> grammar;
  bool skip_special_tokens = true;
  int top_logprobs = 0;      // alternatives to report with every token
  bool trace = false;        // report every denoising step
  bool provisional = false;  // report the block after every denoising step
  int priority = 0;          // higher goes first, and gives its pages up last
  SteadyTime deadline =
      SteadyTime::InfiniteFuture();  // ends with DeadlineExceeded then, wherever it is
  int drafts = 0;  // guessed later states evaluated with the true one: 0 .. kMaxDrafts a step, or
                   // kAutomaticDrafts

  bool scores() const { return !targets.empty(); }
  // Tokens that are given: the prompt and the targets.
  int64_t num_given() const { return static_cast<int64_t>(prompt.size() + targets.size()); }
  // Tokens that it is or becomes at most.
  int64_t max_length() const {
    return scores() ? num_given() : static_cast<int64_t>(prompt.size()) + stopping.max_tokens;
  }
};

// What a job can take; a request beyond it is refused before it is queued.
struct RequestLimits {
  int64_t vocab_size = 0;
  int64_t max_sequence_length = 0;  // prompt and output
  int64_t page_size = 0;
  int64_t num_pages = 0;
  int64_t max_batch_rows = 0;
  // Ranges [begin, end) of ids that no position may choose; ascending, apart.
  std::vector<std::pair<TokenId, TokenId>> forbidden = {};
};

inline constexpr int kAutomaticDrafts = -1;  // as many as make the job faster
inline constexpr int kMaxDrafts = 64;
inline constexpr int kMaxTopLogprobs = 20;
inline constexpr int kMaxPriority = 100;
inline constexpr size_t kMaxStopStrings = 64;
inline constexpr size_t kMaxStopStringBytes = 1024;

// Pages that a sequence of `length` tokens needs for its whole life: K/V of all its blocks but the
// last, which is never committed.
int64_t PagesNeeded(int64_t length, int block_length, int64_t page_size);

// InvalidArgument names the field, what is allowed and what it got; ResourceExhausted: could never
// fit the K/V memory.
absl::Status ValidateRequest(const GenerationRequest& request, const RequestLimits& limits);

// One denoising step of one block; positions are within the block.
struct TraceStep {
  int64_t block = 0;  // position / block_length
  int step = 0;
  std::vector<int> masked;
  std::vector<double> confidence;   // of the masked positions' choices
  std::vector<TokenId> candidates;  // those choices
  std::vector<int> revealed;
  std::vector<TokenId> tokens;  // at the revealed positions
};

// The active block after a denoising step.
struct ProvisionalBlock {
  struct Position {
    bool masked = false;
    bool given = false;     // from the prompt
    TokenId id = kNoToken;  // the token, or the choice of a masked position
    double confidence = 1;
  };
  int64_t block = 0;
  int step = 0;
  std::vector<Position> positions;
};

enum class FinishReason { kStop, kLength };

struct SequenceUsage {
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t denoising_steps = 0;
  int64_t forward_passes = 0;
  int64_t cached_tokens = 0;  // prompt tokens whose K/V came from the prefix cache
  int64_t forced_tokens = 0;  // revealed at once, since no valid answer could go on otherwise
  int64_t preemptions = 0;    // times its pages were taken and later recomputed
  SteadyTime started = SteadyTime::InfiniteFuture();     // when it first had a slot
  SteadyTime first_step = SteadyTime::InfiniteFuture();  // when its first denoising step was done
};

// How a sequence ended. `status` is not OK when it did not end by itself: cancelled, or the job
// failed.
struct SequenceEnd {
  absl::Status status;
  FinishReason reason = FinishReason::kLength;
  std::optional<TokenId> stop_token;
  std::optional<std::string> stop_string;
  SequenceUsage usage;
};

// News of a sequence after a step. Tokens and text are final, and each is reported once. A sequence
// that scores reports its targets as tokens, and no text.
struct SequenceUpdate {
  std::string text;
  std::vector<RevealedToken> tokens;
  std::vector<TraceStep> trace;
  std::optional<ProvisionalBlock> provisional;
  std::optional<SequenceEnd> end;  // in the last update
};

// Called on the engine thread; must not block.
using UpdateCallback = std::function<void(SequenceUpdate)>;

// A sequence to run and who hears of it.
struct Submission {
  GenerationRequest request;
  UpdateCallback callback;
};

}  // namespace sdar
