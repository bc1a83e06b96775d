// SPDX-License-Identifier: Apache-2.0
// Leads one sequence through a grammar, block by block: what its masked positions are chosen by
// where an answer must be valid as a whole (docs/design.md, section 5.15).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"

#include "common/ids.h"
#include "runtime/diffusion/block_state.h"
#include "runtime/diffusion/sampler.h"
#include "runtime/grammar/tokens/token_grammar.h"
#include "runtime/guided/block_graph.h"

namespace sdar {

// Where the output of a block begins in the grammar.
struct GuidePlace {
  grammar::TokenState start;  // before the first position that is not given
  int64_t tokens_left = 0;    // of the answer, from there on
};

// The outcome of a step's logits for the masked positions of a block.
struct GuidedChoices {
  std::vector<Choice> choices;  // one per masked position, ascending; jointly valid
  std::vector<bool> known;      // whether the choice's logit is known; else it is best resolved
  // Of every position from the first that is not given, and what comes before each of them.
  std::vector<TokenId> filling;
  std::vector<grammar::TokenState> states;
};

// Law: the tokens of the active block are part of some filling with which the answer can still end
// within its tokens. What Choose gives keeps it, whichever of its choices are revealed. Not
// thread-safe; several may share one grammar.
class Guide {
 public:
  // The whole z of a masked position's row, by its index among the masked ones; empty where it was
  // not resolved.
  using ResolvedRows = absl::FunctionRef<absl::Span<const float>(size_t masked_index)>;

  // Requires: max_tokens > LeastTokens of the grammar's start.
  Guide(std::shared_ptr<grammar::TokenGrammar> grammar, int64_t max_tokens);

  // Of the active block.
  const GuidePlace& place() const { return place_; }
  // Of the block after one that has begun at `place` and ended with `tokens`, those that were not
  // given.
  GuidePlace After(const GuidePlace& place, absl::Span<const TokenId> tokens) const;

  // What the first masked position may become; null where it may become anything.
  std::shared_ptr<const grammar::TokenMask> MaskOf(const BlockState& block,
                                                   const GuidePlace& place) const;

  // Chooses for all masked positions of a block at `place`. summaries: one per masked position, the
  // first of them under MaskOf. key: of the block's first position. Absent only if the block is not
  // the active one and nothing valid is in sight.
  std::optional<GuidedChoices> Choose(const BlockState& block, const GuidePlace& place,
                                      absl::Span<const LogitSummary> summaries,
                                      const SamplingOptions& options, const DrawKey& key,
                                      ResolvedRows resolved) const;

  // Adds to `reveals` (positions, ascending) those that no valid answer could fill with other
  // bytes, as far as everything before them is known or revealed. Returns how many.
  int AddForced(const BlockState& block, const GuidedChoices& chosen,
                std::vector<int>& reveals) const;

  // Keeps what Choose gave for the active block, before some of it is revealed.
  void Keep(const GuidedChoices& chosen) { witness_ = chosen.filling; }
  // Moves on behind the active block, whose tokens that were not given these are.
  void FinishBlock(absl::Span<const TokenId> tokens);

  grammar::TokenGrammar& grammar() const { return *grammar_; }

 private:
  // What Choose is asked.
  struct Step {
    const BlockState& block;
    const GuidePlace& place;
    absl::Span<const LogitSummary> summaries;
    const SamplingOptions& options;
    const DrawKey& key;
    ResolvedRows resolved;

    DrawKey KeyOf(size_t masked_index) const;
    // As without a grammar.
    Choice PlainChoice(size_t masked_index) const;
  };

  GuidedChoices ChooseFreely(const Step& step) const;
  std::vector<CandidateRow> RowsOf(const Step& step, absl::Span<const TokenId> witness) const;
  static bool ResolveRows(const Step& step, const BlockGraph& graph,
                          absl::Span<const TokenId> witness, std::vector<CandidateRow>& rows);
  BlockProblem ProblemOf(const Step& step, absl::Span<const CandidateRow> rows,
                         absl::Span<const TokenId> witness,
                         std::vector<GuidedPosition>& positions) const;
  static GuidedChoices ChoicesOf(const Step& step, absl::Span<const CandidateRow> rows,
                                 GuidedFilling filling);
  std::vector<TokenId> ShortestFilling(const GuidePlace& place, size_t size) const;
  std::vector<TokenId> WitnessFor(const BlockState& block, const GuidePlace& place) const;

  std::shared_ptr<grammar::TokenGrammar> grammar_;
  GuidePlace place_;
  std::vector<TokenId> witness_;  // a valid filling of the active block; empty: nothing is revealed
};

}  // namespace sdar
