// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/output_scanner.h"

#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/status_matchers.h"

namespace sdar {
namespace {

const Tokenizer& Tiny() {
  static const Tokenizer tokenizer =
      *Tokenizer::Load(std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny");
  return tokenizer;
}

constexpr TokenId kEos = 958;

StoppingOptions Stopping(int64_t max_tokens, std::vector<std::string> stop = {}) {
  StoppingOptions options;
  options.max_tokens = max_tokens;
  options.stop = std::move(stop);
  options.stop_ids = {kEos};
  return options;
}

struct Scanned {
  std::string text;
  std::vector<TokenId> ids;
  std::vector<std::string> pieces;
};

// Pushes tokens until the scanner has ended or they are used up.
Scanned Scan(OutputScanner& scanner, const std::vector<TokenId>& ids) {
  Scanned out;
  for (TokenId id : ids) {
    if (scanner.ended()) break;
    SequenceUpdate update;
    scanner.Push({id, -1.0, 0.5, 0, {}}, update);
    out.text += update.text;
    out.pieces.push_back(update.text);
    for (const RevealedToken& token : update.tokens) out.ids.push_back(token.id);
  }
  return out;
}

std::vector<TokenId> Encode(const std::string& text) { return *Tiny().Encode(text); }

TEST(OutputScannerTest, EndsAtMaxTokensWithLength) {
  OutputScanner scanner(Tiny(), Stopping(3), true);
  const std::vector<TokenId> ids = Encode("one two three four five");
  const Scanned out = Scan(scanner, ids);
  ASSERT_TRUE(scanner.ended());
  EXPECT_EQ(scanner.End().reason, FinishReason::kLength);
  EXPECT_EQ(out.ids, std::vector<TokenId>(ids.begin(), ids.begin() + 3));
  EXPECT_EQ(scanner.End().usage.completion_tokens, 3);
}

TEST(OutputScannerTest, AStopTokenIsNeitherReportedNorCounted) {
  OutputScanner scanner(Tiny(), Stopping(50), true);
  std::vector<TokenId> ids = Encode("Hello!");
  const std::vector<TokenId> kept = ids;
  ids.insert(ids.end(), {kEos, 5, 6});
  const Scanned out = Scan(scanner, ids);
  EXPECT_EQ(out.ids, kept);
  EXPECT_EQ(out.text, "Hello!");
  EXPECT_EQ(scanner.End().stop_token, kEos);
  EXPECT_EQ(scanner.End().reason, FinishReason::kStop);
}

TEST(OutputScannerTest, AStopTokenBeforeMinTokensDoesNotStop) {
  StoppingOptions options = Stopping(50);
  options.min_tokens = 2;
  OutputScanner scanner(Tiny(), options, true);
  Scan(scanner, {kEos, 5});
  EXPECT_FALSE(scanner.ended());
  Scan(scanner, {kEos});
  EXPECT_TRUE(scanner.ended());
}

TEST(OutputScannerTest, NoPieceEverHoldsTheStartOfAStopStringThatCompletes) {
  OutputScanner scanner(Tiny(), Stopping(500, {"parallel task"}), true);
  const Scanned out = Scan(scanner, Encode("tensor parallelism and a parallel task here"));
  ASSERT_TRUE(scanner.ended());
  EXPECT_EQ(out.text, "tensor parallelism and a ");
  EXPECT_EQ(scanner.End().stop_string, "parallel task");
}

TEST(OutputScannerTest, HeldBackTextComesWhenTheStopStringDoesNot) {
  OutputScanner scanner(Tiny(), Stopping(500, {"parallel!"}), true);
  const std::vector<TokenId> ids = Encode("parallel parallel parallel.");
  const Scanned out = Scan(scanner, ids);
  EXPECT_FALSE(scanner.ended());
  EXPECT_EQ(out.text, "parallel parallel parallel.");
  EXPECT_EQ(out.ids, ids);
}

TEST(OutputScannerTest, TheStopStringThatBeginsFirstWins) {
  OutputScanner scanner(Tiny(), Stopping(500, {"cd", "bcd"}), true);
  const Scanned out = Scan(scanner, Encode("a bcd"));
  EXPECT_EQ(scanner.End().stop_string, "bcd");
  EXPECT_EQ(out.text, "a ");
}

TEST(OutputScannerTest, TokensThatBeginBeforeTheStopStringAreKept) {
  OutputScanner scanner(Tiny(), Stopping(500, {"\n"}), true);
  std::vector<TokenId> ids = Encode("Hello there");
  const std::vector<TokenId> kept = ids;
  for (TokenId id : Encode("\nmore")) ids.push_back(id);
  const Scanned out = Scan(scanner, ids);
  EXPECT_EQ(out.ids, kept);
  EXPECT_EQ(out.text, "Hello there");
}

TEST(OutputScannerTest, AnIncompleteCharacterAtTheEndIsReplaced) {
  OutputScanner scanner(Tiny(), Stopping(1), true);
  const std::vector<TokenId> ids = Encode("é");
  ASSERT_GE(ids.size(), 2u);
  const Scanned out = Scan(scanner, ids);
  EXPECT_EQ(out.text, "\xEF\xBF\xBD");
}

// Against a slow rule: decode everything so far after each token, look for the earliest stop.
TEST(OutputScannerTest, MatchesTheSlowRuleOnRandomTokens) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<TokenId> ids(1 + random() % 40);
    for (TokenId& id : ids) id = static_cast<TokenId>(random() % 300);
    const std::string all = Tiny().Decode(ids, true);
    std::vector<std::string> stops;
    if (all.size() > 4) {
      const size_t begin = random() % (all.size() - 2);
      stops.push_back(all.substr(begin, 1 + random() % 4));
    }
    OutputScanner scanner(Tiny(), Stopping(100, stops), true);
    const Scanned out = Scan(scanner, ids);
    std::string want;
    bool stopped = false;
    for (size_t n = 1; n <= ids.size() && !stopped; ++n) {
      IncrementalDetokenizer detokenizer(Tiny(), true);
      want.clear();
      for (size_t i = 0; i < n; ++i) want += detokenizer.Push(ids[i]);
      for (const std::string& stop : stops) {
        if (want.find(stop) == std::string::npos) continue;
        want.resize(want.find(stop));
        stopped = true;
      }
    }
    EXPECT_EQ(scanner.ended(), stopped);
    if (stopped) {
      EXPECT_EQ(out.text, want) << round;
    } else {
      EXPECT_EQ(want.compare(0, out.text.size(), out.text), 0) << round;
    }
  }
}

}  // namespace
}  // namespace sdar
