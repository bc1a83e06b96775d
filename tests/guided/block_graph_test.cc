// SPDX-License-Identifier: Apache-2.0
#include "runtime/guided/block_graph.h"

#include "gtest/gtest.h"

#include "tests/guided/small_language.h"

namespace sdar {
namespace {

// A block of masked positions whose rows are flat, so that nothing can be pruned by its score.
struct FlatProblem {
  explicit FlatProblem(size_t size, const std::string& regex) : grammar(SmallGrammar(regex)) {
    std::mt19937 random(1);
    for (const SampledRow& row : RandomRows(random, size, 1e-6)) {
      rows.emplace_back(Summarize(row, {}), SamplingOptions(), DrawKey(), false);
    }
    for (const CandidateRow& row : rows) positions.push_back({kNoToken, &row});
    problem.grammar = grammar.get();
    problem.start = grammar->start();
    problem.positions = positions;
    problem.tokens_left = 1000;
  }

  std::shared_ptr<grammar::TokenGrammar> grammar;
  std::vector<CandidateRow> rows;
  std::vector<GuidedPosition> positions;
  BlockProblem problem;
};

TEST(BlockGraphTest, ALongFlatBlockHasAValidFilling) {
  FlatProblem flat(64, "(ab|x|\\(c(,c)*\\))+");
  const auto filling = BlockGraph(flat.problem).Solve();
  ASSERT_TRUE(filling);
  grammar::TokenState state = flat.grammar->start();
  for (TokenId id : filling->tokens) {
    if (state != grammar::kDoneTokenState) state = flat.grammar->Next(state, id);
  }
  EXPECT_NE(state, grammar::kDeadTokenState);
}

TEST(BlockGraphTest, NothingIsFoundWhereNoCandidateIsValid) {
  FlatProblem flat(2, "x");
  flat.problem.tokens_left = 1;
  EXPECT_FALSE(BlockGraph(flat.problem).Solve());
}

TEST(BlockGraphTest, AWitnessIsAlwaysAmongTheFillings) {
  FlatProblem flat(3, "x(ab)*");
  const std::vector<TokenId> witness = {6, kSmallEnd, kNoToken};
  std::vector<CandidateRow> rows;
  LogitSummary summary =
      Summarize(SampledRow{std::vector<float>(12, 0.0f), std::vector<float>(12, kForbidden)}, {});
  for (size_t i = 0; i < 3; ++i) {
    rows.emplace_back(summary, SamplingOptions(), DrawKey(), false);
    if (witness[i] != kNoToken) rows.back().Add(witness[i], SamplingOptions(), {});
  }
  for (size_t i = 0; i < 3; ++i) flat.positions[i].row = &rows[i];
  flat.problem.positions = flat.positions;
  flat.problem.witness = witness;
  const auto filling = BlockGraph(flat.problem).Solve();
  ASSERT_TRUE(filling);
  EXPECT_EQ(filling->tokens, witness);
  EXPECT_FALSE(filling->marginals[0].known);
  EXPECT_TRUE(filling->marginals[2].ended);
}

}  // namespace
}  // namespace sdar
