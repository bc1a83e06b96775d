// SPDX-License-Identifier: Apache-2.0
// Guesses a block's later states from the logits of its last step (docs/design.md, section 5,
// "Drafts"). Whatever is guessed here changes no output: a draft counts only where it equals the
// state that is reached.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/types/span.h"

#include "common/ids.h"
#include "common/logit_summary.h"
#include "runtime/diffusion/block_state.h"
#include "runtime/diffusion/decoding_options.h"

namespace sdar {

// What is known of the logits of a block's positions, without having run its present state.
struct Forecast {
  // [block_length]; num_candidates is 0 at positions of which nothing is known. Empty: nothing is
  // known of any.
  std::vector<LogitSummary> summaries;
  bool foreign = false;  // after a finished block that was guessed, and guessed otherwise

  bool empty() const { return summaries.empty(); }
  // Takes the summaries of the positions `masked`, one each.
  void Set(int block_length, absl::Span<const int> masked,
           absl::Span<const LogitSummary> of_masked);
};

// How a draft follows from the state before it.
enum class DraftKind {
  kRule,           // what the remasking rule gives if the logits stay as they are
  kSecondToken,    // the least certain of the revealed tokens is the second choice instead
  kOtherPosition,  // instead of the last position that the rule takes, the next in order
  kOneMore,        // the next in order as well: revealed neighbours make a position surer
  kAll,            // everything that is masked
};
inline constexpr int kNumDraftKinds = 5;

// A guessed later state of a sequence. One that finishes the active block is followed by the next
// block's masks.
struct Draft {
  BlockState state;
  std::vector<TokenId> finished;  // the active block's tokens, where `state` is of the next block
  int parent = -1;                // the draft it follows from; -1: the true state
  int depth = 1;                  // steps from the true state
  DraftKind kind = DraftKind::kRule;
  bool foreign = false;  // guessed from a foreign forecast
  double certainty = 0;  // product of the probabilities of the tokens that it reveals
  bool in_next_block() const { return !finished.empty(); }
  // The active block has just been finished; nothing of the next is revealed.
  bool begins_next_block() const { return in_next_block() && state.step() == 0; }
};

// What a step would reveal of a block.
struct ForeseenStep {
  std::vector<int> reveals;     // positions, ascending
  std::vector<Choice> choices;  // one per masked position
};
// Foresees a step of a block from its masked positions' summaries; `finished` are the tokens of the
// active block where the block follows it. Absent: nothing is known.
using Foresight = std::function<std::optional<ForeseenStep>(
    const BlockState& block, absl::Span<const TokenId> finished,
    absl::Span<const LogitSummary> summaries)>;

// What the states of one sequence are guessed by.
struct DraftBasis {
  const RemaskingOptions* remasking = nullptr;
  const SamplingOptions* sampling = nullptr;
  const Forecast* active = nullptr;  // of the active block
  const Forecast* next = nullptr;    // of the block after it
  int64_t first_position = 0;        // of the active block
  TokenId mask_token = kNoToken;
  Foresight foresee;       // null: every position is chosen by itself
  bool ends_here = false;  // the sequence ends with the active block, whatever its tokens
  // End the sequence from position first_stop on; ascending.
  absl::Span<const TokenId> stop_ids;
  int64_t first_stop = 0;
};

// The likely successors of the states of one sequence. Not thread-safe.
class DraftPredictor {
 public:
  // Requires: what the basis points to outlives this.
  explicit DraftPredictor(const DraftBasis& basis) : basis_(basis) {}

  // Distinct states that may follow, at most one of each kind; none where nothing is known of the
  // block, or where the sequence ends. The caller sets the parent.
  std::vector<Draft> After(const BlockState& state) { return Follow(state, {}, 1); }
  std::vector<Draft> After(const Draft& draft) {
    return Follow(draft.state, draft.finished, draft.depth + 1);
  }

 private:
  using Ranked = std::vector<Choice>;  // the best and, where there is one, the second

  std::vector<Draft> FollowForeseen(const BlockState& state, const std::vector<TokenId>& finished,
                                    int depth) const;
  std::vector<Draft> Follow(const BlockState& state, const std::vector<TokenId>& finished,
                            int depth);
  const std::vector<Ranked>& ChoicesAt(bool next_block, int step);
  bool Finish(Draft& draft) const;
  const Forecast* ForecastOf(bool next_block) const {
    return next_block ? basis_.next : basis_.active;
  }

  DraftBasis basis_;
  std::array<std::vector<std::vector<Ranked>>, 2> choices_;  // [block][step][position]
};

}  // namespace sdar
