// SPDX-License-Identifier: Apache-2.0
#include "runtime/guided/guide.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/status_macros.h"

namespace sdar {
namespace {

using grammar::kDoneTokenState;
using grammar::TokenState;

// What the remasking rules compare. Tokens that are no candidates may be valid too: their
// probability counts for none of those that are, as where nothing is known to be invalid.
Choice GuidedChoice(TokenId id, const GuidedMarginal& marginal, const CandidateRow& row) {
  const double all = marginal.alive + row.tail();
  const double share = all > 0 ? marginal.alive / all : 1;
  double entropy = share * marginal.entropy;
  if (share > 0) entropy -= share * std::log(share);
  if (share < 1 && row.tail() > 0) {
    const double scale = (1 - share) / row.tail();
    entropy += scale * row.tail_entropy() - (1 - share) * std::log(scale);
  }
  Choice choice;
  choice.id = id;
  choice.logprob = std::min(0.0, marginal.log_probability);
  choice.confidence = RoundForComparison(std::clamp(share * marginal.chosen, 0.0, 1.0));
  choice.entropy = RoundForComparison(std::max(0.0, entropy));
  return choice;
}

}  // namespace

Guide::Guide(std::shared_ptr<grammar::TokenGrammar> grammar, int64_t max_tokens)
    : grammar_(std::move(grammar)), place_{grammar_->start(), max_tokens} {}

GuidePlace Guide::After(const GuidePlace& place, absl::Span<const TokenId> tokens) const {
  GuidePlace after = place;
  for (TokenId token : tokens) {
    if (after.start != kDoneTokenState) after.start = grammar_->Next(after.start, token);
  }
  after.tokens_left -= static_cast<int64_t>(tokens.size());
  return after;
}

std::shared_ptr<const grammar::TokenMask> Guide::MaskOf(const BlockState& block,
                                                        const GuidePlace& place) const {
  const auto known = static_cast<size_t>(block.FinalPrefix() - block.num_given());
  const auto given = static_cast<size_t>(block.num_given());
  const TokenState state = After(place, block.token_ids().subspan(given, known)).start;
  return grammar_->AllowsAll(state) ? nullptr : grammar_->Mask(state);
}

DrawKey Guide::Step::KeyOf(size_t masked_index) const {
  DrawKey of_position = key;
  of_position.position += static_cast<uint32_t>(block.MaskedPositions()[masked_index]);
  return of_position;
}

Choice Guide::Step::PlainChoice(size_t masked_index) const {
  const absl::Span<const float> z = resolved(masked_index);
  const LogitSummary& summary = summaries[masked_index];
  return z.empty() ? ::sdar::Choose(summary, options, KeyOf(masked_index))
                   : ChooseFromLogits(z, summary, options, KeyOf(masked_index));
}

std::optional<GuidedChoices> Guide::Choose(const BlockState& block, const GuidePlace& place,
                                           absl::Span<const LogitSummary> summaries,
                                           const SamplingOptions& options, const DrawKey& key,
                                           ResolvedRows resolved) const {
  const Step step = {block, place, summaries, options, key, resolved};
  if (grammar_->AllowsAll(place.start)) return ChooseFreely(step);
  const std::vector<TokenId> witness = WitnessFor(block, place);
  std::vector<CandidateRow> rows = RowsOf(step, witness);
  std::vector<GuidedPosition> positions;
  BlockGraph graph(ProblemOf(step, rows, witness, positions));
  std::optional<GuidedFilling> filling = graph.Solve();
  if (ResolveRows(step, graph, witness, rows)) {
    filling = BlockGraph(ProblemOf(step, rows, witness, positions)).Solve();
  }
  if (!filling) return std::nullopt;
  return ChoicesOf(step, rows, *std::move(filling));
}

// Nothing is ruled out, now or later: the same bits as without a grammar.
GuidedChoices Guide::ChooseFreely(const Step& step) const {
  GuidedChoices chosen;
  const auto given = static_cast<size_t>(step.block.num_given());
  const auto tokens = step.block.token_ids().subspan(given);
  chosen.filling.assign(tokens.begin(), tokens.end());
  chosen.states.assign(tokens.size() + 1, step.place.start);
  for (size_t i = 0; i < step.summaries.size(); ++i) {
    chosen.choices.push_back(step.PlainChoice(i));
    const auto position = static_cast<size_t>(step.block.MaskedPositions()[i]);
    chosen.filling[position - given] = chosen.choices.back().id;
  }
  chosen.known.assign(step.summaries.size(), true);
  return chosen;
}

std::vector<CandidateRow> Guide::RowsOf(const Step& step, absl::Span<const TokenId> witness) const {
  const bool has_mask = MaskOf(step.block, step.place) != nullptr;
  std::vector<CandidateRow> rows;
  for (size_t i = 0; i < step.summaries.size(); ++i) {
    const DrawKey key = step.KeyOf(i);
    rows.emplace_back(step.summaries[i], step.options, key, has_mask && i == 0);
    const auto position =
        static_cast<size_t>(step.block.MaskedPositions()[i] - step.block.num_given());
    if (position < witness.size() && witness[position] != kNoToken) {
      rows.back().Add(witness[position], step.options, key);
    }
  }
  return rows;
}

// Takes the whole rows that are there, less what no state before them allows. False if there are
// none.
bool Guide::ResolveRows(const Step& step, const BlockGraph& graph,
                        absl::Span<const TokenId> witness, std::vector<CandidateRow>& rows) {
  bool any = false;
  for (size_t i = 0; i < rows.size(); ++i) {
    const absl::Span<const float> z = step.resolved(i);
    if (z.empty()) continue;
    any = true;
    const auto position =
        static_cast<size_t>(step.block.MaskedPositions()[i] - step.block.num_given());
    std::vector<uint64_t> allowed = graph.AllowedAt(position);
    allowed.resize((z.size() + 63) / 64);
    const DrawKey key = step.KeyOf(i);
    rows[i] = CandidateRow(z, allowed, step.summaries[i], step.options, key);
    if (position < witness.size() && witness[position] != kNoToken) {
      rows[i].Add(witness[position], step.options, key);
    }
  }
  return any;
}

BlockProblem Guide::ProblemOf(const Step& step, absl::Span<const CandidateRow> rows,
                              absl::Span<const TokenId> witness,
                              std::vector<GuidedPosition>& positions) const {
  positions.clear();
  size_t row = 0;
  for (int p = step.block.num_given(); p < step.block.block_length(); ++p) {
    if (step.block.IsMasked(p)) {
      positions.push_back({kNoToken, &rows[row++]});
    } else {
      positions.push_back({step.block.token(p).id, nullptr});
    }
  }
  BlockProblem problem;
  problem.grammar = grammar_.get();
  problem.start = step.place.start;
  problem.positions = positions;
  problem.tokens_left = step.place.tokens_left;
  problem.witness = witness;
  problem.draws = !step.options.greedy();
  return problem;
}

GuidedChoices Guide::ChoicesOf(const Step& step, absl::Span<const CandidateRow> rows,
                               GuidedFilling filling) {
  GuidedChoices chosen;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto position =
        static_cast<size_t>(step.block.MaskedPositions()[i] - step.block.num_given());
    const GuidedMarginal& marginal = filling.marginals[position];
    chosen.choices.push_back(marginal.ended
                                 ? step.PlainChoice(i)
                                 : GuidedChoice(filling.tokens[position], marginal, rows[i]));
    chosen.known.push_back(marginal.ended || marginal.known);
  }
  chosen.filling = std::move(filling.tokens);
  chosen.states = std::move(filling.states);
  return chosen;
}

// The shortest end, then the end token.
std::vector<TokenId> Guide::ShortestFilling(const GuidePlace& place, size_t size) const {
  std::vector<TokenId> filling = grammar_->ShortestEnd(place.start);
  filling.push_back(grammar_->end_tokens()[0]);
  filling.resize(size, kNoToken);
  return filling;
}

std::vector<TokenId> Guide::WitnessFor(const BlockState& block, const GuidePlace& place) const {
  const auto size = static_cast<size_t>(block.block_length() - block.num_given());
  const bool untouched = block.MaskedPositions().size() == size;
  return untouched ? ShortestFilling(place, size) : witness_;
}

int Guide::AddForced(const BlockState& block, const GuidedChoices& chosen,
                     std::vector<int>& reveals) const {
  std::vector<int> forced;
  int count = 0;
  for (int p = block.num_given(); p < block.block_length(); ++p) {
    if (!block.IsMasked(p) || std::binary_search(reveals.begin(), reveals.end(), p)) continue;
    const auto at = static_cast<size_t>(p - block.num_given());
    const bool ended = chosen.states[at] == kDoneTokenState;
    if (!ended && !grammar_->IsForced(chosen.states[at], chosen.filling[at])) break;
    forced.push_back(p);
    if (!ended) ++count;
  }
  reveals.insert(reveals.end(), forced.begin(), forced.end());
  std::sort(reveals.begin(), reveals.end());
  return count;
}

void Guide::FinishBlock(absl::Span<const TokenId> tokens) {
  place_ = After(place_, tokens);
  witness_.clear();
}

}  // namespace sdar
