// SPDX-License-Identifier: Apache-2.0
// What a guide chooses, against every filling there is.
#include "runtime/guided/guide.h"

#include <map>
#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/guided/small_language.h"

namespace sdar {
namespace {

constexpr const char* kLists = "(ab|x|\\(c(,c)*\\))+";

absl::Span<const float> Unresolved(size_t) { return {}; }

SamplingOptions Sampled(double temperature = 1) {
  SamplingOptions options;
  options.temperature = temperature;
  return options;
}

// A guide whose active block begins after `given` tokens of a prompt.
struct ActiveBlock {
  ActiveBlock(const std::string& regex, int block_length, int given, int64_t max_tokens)
      : guide(SmallGrammar(regex), max_tokens),
        block(block_length, std::vector<TokenId>(static_cast<size_t>(given), 0), kSmallMask) {}

  GuidedChoices Choose(const std::vector<SampledRow>& rows, const SamplingOptions& options,
                       uint64_t seed = 0) const {
    const DrawKey key{seed, 0, static_cast<uint32_t>(block.step())};
    auto chosen = guide.Choose(block, guide.place(), SummariesOf(guide, block, rows, key), options,
                               key, Unresolved);
    EXPECT_TRUE(chosen.has_value());
    return chosen.value_or(GuidedChoices());
  }
  // Reveals the choices at some of the masked positions.
  void Reveal(const GuidedChoices& chosen, const std::vector<int>& positions) {
    guide.Keep(chosen);
    block.Reveal(positions, chosen.choices);
  }

  Guide guide;
  BlockState block;
};

double BestScore(const ActiveBlock& active, const std::vector<SampledRow>& rows) {
  double best = -1e300;
  ForEachFilling(active.guide, active.block, rows,
                 [&](const Filling& filling) { best = std::max(best, filling.score); });
  return best;
}

double ScoreOf(const ActiveBlock& active, const std::vector<SampledRow>& rows,
               const GuidedChoices& chosen) {
  double score = 0;
  for (size_t i = 0; i < chosen.choices.size(); ++i) {
    const auto position = static_cast<size_t>(active.block.MaskedPositions()[i]);
    score += LogProbability(rows[position], chosen.choices[i].id);
  }
  return score;
}

TEST(GuideTest, GreedyChoicesAreTheBestValidFillingWhateverIsRevealedFirst) {
  std::mt19937 random(1);
  for (int block_length = 2; block_length <= 4; ++block_length) {
    std::vector<int> order(static_cast<size_t>(block_length));
    std::iota(order.begin(), order.end(), 0);
    do {
      for (const int64_t max_tokens : {2, 3, 4, 5, 9}) {
        ActiveBlock active(kLists, block_length, 0, max_tokens);
        for (int position : order) {
          const auto rows = RandomRows(random, order.size(), 3);
          const GuidedChoices chosen = active.Choose(rows, SamplingOptions());
          ASSERT_NEAR(ScoreOf(active, rows, chosen), BestScore(active, rows), 1e-6);
          active.Reveal(chosen, {position});
        }
      }
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

// Every word of five letters, twice: after as many letters each beginning is a state of its own.
std::string WordsTwice() {
  std::string regex;
  for (int number = 0; number < 1024; ++number) {
    std::string word;
    for (int letter = 0; letter < 5; ++letter) word += "abcx"[number >> (2 * letter) & 3];
    regex += (number == 0 ? "" : "|") + word + word;
  }
  return regex;
}

TEST(GuideTest, ABlockWithMoreStatesThanAreKeptHasItsBestFilling) {
  std::mt19937 random(7);
  for (int round = 0; round < 3; ++round) {
    ActiveBlock active(WordsTwice(), 5, 0, 40);
    const auto rows = RandomRows(random, 5, 0.1);
    const GuidedChoices chosen = active.Choose(rows, SamplingOptions());
    EXPECT_NEAR(ScoreOf(active, rows, chosen), BestScore(active, rows), 1e-6);
  }
}

TEST(GuideTest, GivenTokensOfThePromptAreNotOfTheAnswer) {
  std::mt19937 random(2);
  ActiveBlock active(kLists, 4, 2, 2);
  const auto rows = RandomRows(random, 4, 1);
  const GuidedChoices chosen = active.Choose(rows, SamplingOptions());
  EXPECT_EQ(chosen.choices.size(), 2u);
  EXPECT_EQ(chosen.choices[1].id, kSmallEnd) << "two tokens: one of text and the end";
}

// Fillings that are the same answer, what comes after its end aside.
std::vector<TokenId> AnswerOf(std::vector<TokenId> tokens) {
  const auto end = std::find(tokens.begin(), tokens.end(), kSmallEnd);
  if (end != tokens.end()) tokens.erase(end + 1, tokens.end());
  return tokens;
}

TEST(GuideTest, DrawsFitTheDistributionOfValidFillings) {
  std::mt19937 random(3);
  for (const int64_t max_tokens : {3, 20}) {
    ActiveBlock active(kLists, 3, 0, max_tokens);
    const auto rows = RandomRows(random, 3, 1.5);
    std::map<std::vector<TokenId>, double> law;
    double total = 0;
    ForEachFilling(active.guide, active.block, rows, [&](const Filling& filling) {
      law[AnswerOf(filling.tokens)] += std::exp(filling.score);
      total += std::exp(filling.score);
    });
    constexpr int kDraws = 20000;
    std::map<std::vector<TokenId>, int> counts;
    for (uint64_t seed = 0; seed < kDraws; ++seed) {
      const GuidedChoices chosen = active.Choose(rows, Sampled(), seed);
      std::vector<TokenId> tokens;
      for (const Choice& choice : chosen.choices) tokens.push_back(choice.id);
      ++counts[AnswerOf(tokens)];
    }
    double statistic = 0, rare_want = 1e-9, rare_got = 0;
    int classes = 0;
    for (const auto& [answer, mass] : law) {
      const double want = mass / total * kDraws;
      const double got = counts[answer];
      if (want < 10) {
        rare_want += want;
        rare_got += got;
        continue;
      }
      statistic += (got - want) * (got - want) / want;
      ++classes;
    }
    statistic += (rare_got - rare_want) * (rare_got - rare_want) / rare_want;
    EXPECT_EQ(counts.size(),
              law.size() - std::count_if(law.begin(), law.end(),
                                         [&](const auto& e) { return counts[e.first] == 0; }))
        << "something invalid was drawn";
    EXPECT_LT((statistic - classes) / std::sqrt(2.0 * classes), 4) << classes;
  }
}

TEST(GuideTest, ConfidenceIsTheProbabilityAmongValidFillings) {
  std::mt19937 random(4);
  ActiveBlock active(kLists, 3, 0, 20);
  for (int round = 0; round < 20; ++round) {
    const auto rows = RandomRows(random, 3, 2);
    const GuidedChoices chosen = active.Choose(rows, SamplingOptions());
    for (size_t i = 0; i < 3; ++i) {
      double with = 0, total = 0;
      std::map<TokenId, bool> alive;
      ForEachFilling(active.guide, active.block, rows, [&](const Filling& filling) {
        total += std::exp(filling.score);
        alive[filling.tokens[i]] = true;
        const auto end = std::find(filling.tokens.begin(), filling.tokens.end(), kSmallEnd);
        const bool counts = end - filling.tokens.begin() >= static_cast<std::ptrdiff_t>(i);
        if (counts && filling.tokens[i] == chosen.choices[i].id) with += std::exp(filling.score);
      });
      if (chosen.filling[i] == kNoToken) continue;  // after the end
      // The mask token counts as in plain decoding: it is forbidden, and has a probability. It does
      // not where the mask has made what is allowed all that there is.
      double alive_mass = 0;
      for (const auto& [id, is] : alive) alive_mass += std::exp(LogProbability(rows[i], id));
      const double others = i == 0 ? 0 : std::exp(LogProbability(rows[i], kSmallMask));
      const double expected = with / total * alive_mass / (alive_mass + others);
      EXPECT_NEAR(chosen.choices[i].confidence, expected, 1e-5) << round << " " << i;
    }
  }
}

// A whole answer: every step has other logits, and a strategy chooses what is revealed.
std::vector<TokenId> Generate(std::mt19937& random, const std::string& regex, int64_t max_tokens,
                              const RemaskingOptions& remasking, const SamplingOptions& options) {
  std::vector<TokenId> answer;
  ActiveBlock active(regex, remasking.block_length, 0, max_tokens);
  while (true) {
    while (!active.block.IsDone()) {
      const auto rows = RandomRows(random, static_cast<size_t>(remasking.block_length), 2);
      const GuidedChoices chosen = active.Choose(rows, options, random());
      std::vector<int> due = active.block.Due(remasking, chosen.choices);
      active.guide.AddForced(active.block, chosen, due);
      active.Reveal(chosen, due);
    }
    const auto tokens = active.block.token_ids();
    answer.insert(answer.end(), tokens.begin(), tokens.end());
    if (std::find(tokens.begin(), tokens.end(), kSmallEnd) != tokens.end()) break;
    active.guide.FinishBlock(tokens);
    active.block = BlockState(remasking.block_length, {}, kSmallMask);
  }
  return AnswerOf(std::move(answer));
}

TEST(GuideTest, EveryAnswerEndsValidWithinItsTokens) {
  std::mt19937 random(5);
  const auto grammar = SmallGrammar(kLists);
  const int64_t least = grammar->LeastTokens(grammar->start()) + 1;
  for (const RemaskingStrategy strategy :
       {RemaskingStrategy::kSequential, RemaskingStrategy::kLowConfidenceStatic,
        RemaskingStrategy::kLowConfidenceDynamic, RemaskingStrategy::kEntropyBounded}) {
    for (const int block_length : {1, 2, 4, 8, 16}) {
      for (int64_t max_tokens = least; max_tokens < least + 24; ++max_tokens) {
        for (const double temperature : {0.0, 1.0}) {
          RemaskingOptions remasking;
          remasking.strategy = strategy;
          remasking.block_length = block_length;
          remasking.denoising_steps =
              1 + static_cast<int>(random() % static_cast<uint32_t>(block_length));
          const auto answer = Generate(random, kLists, max_tokens, remasking, Sampled(temperature));
          ASSERT_LE(static_cast<int64_t>(answer.size()), max_tokens);
          grammar::TokenState state = grammar->start();
          for (TokenId id : answer) state = grammar->Next(state, id);
          ASSERT_EQ(state, grammar::kDoneTokenState);
        }
      }
    }
  }
}

TEST(GuideTest, WhatFollowsAnEndIsChosenAsWithoutAGrammar) {
  std::mt19937 random(6);
  ActiveBlock active("x", 4, 0, 20);
  const auto rows = RandomRows(random, 4, 2);
  const GuidedChoices chosen = active.Choose(rows, SamplingOptions());
  EXPECT_EQ(chosen.choices[0].id, 6);
  EXPECT_EQ(chosen.choices[1].id, kSmallEnd);
  for (size_t i : {size_t{2}, size_t{3}}) {
    const Choice plain = Choose(Summarize(rows[i], {}), SamplingOptions(), {});
    EXPECT_EQ(chosen.choices[i].id, plain.id);
    EXPECT_EQ(chosen.choices[i].confidence, plain.confidence);
    EXPECT_EQ(chosen.filling[i], kNoToken);
  }
}

TEST(GuideTest, TextThatNoAnswerCanAvoidIsRevealedAtOnce) {
  std::mt19937 random(7);
  ActiveBlock active("ab\\(c*\\)x", 8, 0, 20);
  const auto rows = RandomRows(random, 8, 2);
  const GuidedChoices chosen = active.Choose(rows, SamplingOptions());
  std::vector<int> due;
  const int count = active.guide.AddForced(active.block, chosen, due);
  EXPECT_EQ(count, static_cast<int>(due.size()));
  std::string text;
  for (int position : due)
    text += SmallVocabulary()[static_cast<size_t>(chosen.filling[static_cast<size_t>(position)])];
  EXPECT_EQ(text, "ab(");
}

TEST(GuideTest, WhatTheCutsRemoveIsChosenOnlyWhereNothingElseIsValid) {
  std::mt19937 random(8);
  SamplingOptions options = Sampled();
  options.top_k = 1;
  int valid = 0, invalid = 0;
  for (uint64_t round = 0; round < 200; ++round) {
    ActiveBlock active(kLists, 3, 0, 20);
    const auto rows = RandomRows(random, 3, 2);
    // What the cuts leave: one candidate a position, the first of them after the mask.
    const DrawKey key{round, 0, 0};
    std::vector<TokenId> left;
    grammar::TokenState state = active.guide.grammar().start();
    for (const LogitSummary& summary : SummariesOf(active.guide, active.block, rows, key)) {
      left.push_back(summary.candidates[0].id);
      if (state != grammar::kDoneTokenState) {
        state = active.guide.grammar().Next(state, left.back());
      }
    }
    const GuidedChoices chosen = active.Choose(rows, options, round);
    std::vector<TokenId> tokens;
    for (const Choice& choice : chosen.choices) tokens.push_back(choice.id);
    if (state != grammar::kDeadTokenState) {
      EXPECT_EQ(tokens, left);
      ++valid;
    } else {
      EXPECT_NE(tokens, left);
      ++invalid;
    }
  }
  EXPECT_GT(valid, 5);
  EXPECT_GT(invalid, 5);
}

}  // namespace
}  // namespace sdar
