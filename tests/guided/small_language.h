// SPDX-License-Identifier: Apache-2.0
// A language over a vocabulary of twelve tokens, small enough to try every filling of a block.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "runtime/diffusion/block_state.h"
#include "runtime/diffusion/sampler.h"
#include "runtime/grammar/tokens/token_grammar.h"
#include "runtime/guided/guide.h"
#include "tests/diffusion/reference_sampler.h"

namespace sdar {

// Token 10 ends an answer, 11 is the mask token, which nothing may become.
inline const std::vector<std::string>& SmallVocabulary() {
  static const std::vector<std::string> tokens = {"a", "b",  "ab", "(", ")", "()",
                                                  "x", "xa", "c",  ",", "",  ""};
  return tokens;
}
inline constexpr TokenId kSmallEnd = 10;
inline constexpr TokenId kSmallMask = 11;

std::shared_ptr<grammar::TokenGrammar> SmallGrammar(const std::string& regex);

// Logits of the positions of a block: all different, the mask token forbidden.
inline std::vector<SampledRow> RandomRows(std::mt19937& random, size_t count, double spread) {
  std::vector<SampledRow> rows;
  for (size_t i = 0; i < count; ++i) {
    rows.push_back(RandomRow(random, SmallVocabulary().size(), spread));
    rows.back().allowed[kSmallMask] = kForbidden;
  }
  return rows;
}

// The summaries of a block's masked positions, as the ranks give them: the first under its mask.
inline std::vector<LogitSummary> SummariesOf(const Guide& guide, const BlockState& block,
                                             const std::vector<SampledRow>& rows,
                                             const DrawKey& key) {
  std::vector<LogitSummary> summaries;
  const auto mask = guide.MaskOf(block, guide.place());
  for (int position : block.MaskedPositions()) {
    SampledRow row = rows[static_cast<size_t>(position)];
    for (size_t id = 0; summaries.empty() && mask != nullptr && id < row.allowed.size(); ++id) {
      if (!mask->Has(static_cast<TokenId>(id))) row.allowed[id] = kForbidden;
    }
    DrawKey of_position = key;
    of_position.position += static_cast<uint32_t>(position);
    summaries.push_back(Summarize(row, of_position));
  }
  return summaries;
}

// ln P[id] of a row.
inline double LogProbability(const SampledRow& row, TokenId id) {
  double sum = 0;
  for (float z : row.z) sum += std::exp(double{z});
  return double{row.z[static_cast<size_t>(id)]} - std::log(sum);
}

struct Filling {
  std::vector<TokenId> tokens;  // of the whole block
  double score = 0;             // ln of the product of the masked positions' probabilities
};

// Every filling of the masked positions after which the answer can still end in time.
inline void ForEachFilling(const Guide& guide, const BlockState& block,
                           const std::vector<SampledRow>& rows,
                           const std::function<void(const Filling&)>& visit) {
  grammar::TokenGrammar& grammar = guide.grammar();
  const auto b = static_cast<size_t>(block.block_length());
  Filling filling;
  filling.tokens.assign(block.token_ids().begin(), block.token_ids().end());
  std::function<void(size_t, grammar::TokenState, double)> go =
      [&](size_t i, grammar::TokenState state, double score) {
        const bool done = state == grammar::kDoneTokenState;
        const int64_t used = static_cast<int64_t>(i) - block.num_given();
        if (state == grammar::kDeadTokenState || (!done && used >= guide.place().tokens_left))
          return;
        if (i == b) {
          if (!done && grammar.LeastTokens(state) + 1 > guide.place().tokens_left - used) return;
          filling.score = score;
          return visit(filling);
        }
        if (!block.IsMasked(static_cast<int>(i))) {
          return go(i + 1, done ? state : grammar.Next(state, filling.tokens[i]), score);
        }
        for (TokenId id = 0; id < static_cast<TokenId>(SmallVocabulary().size()); ++id) {
          if (rows[i].allowed[static_cast<size_t>(id)] == kForbidden) continue;
          filling.tokens[i] = id;
          go(i + 1, done ? state : grammar.Next(state, id), score + LogProbability(rows[i], id));
        }
      };
  go(static_cast<size_t>(block.num_given()), guide.place().start, 0);
}

}  // namespace sdar
