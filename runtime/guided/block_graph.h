// SPDX-License-Identifier: Apache-2.0
// All valid fillings of a block that count, as a graph: a layer of grammar states before every
// position, and an edge for every token between them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"

#include "common/ids.h"
#include "runtime/grammar/tokens/token_grammar.h"
#include "runtime/guided/candidate_row.h"

namespace sdar {

// A position of a block: a known token, or a masked one with its candidates.
struct GuidedPosition {
  TokenId token = kNoToken;           // kNoToken: masked
  const CandidateRow* row = nullptr;  // of a masked position
};

// What a block's fillings must lead through.
struct BlockProblem {
  grammar::TokenGrammar* grammar = nullptr;
  grammar::TokenState start;  // before the first position
  absl::Span<const GuidedPosition> positions;
  int64_t tokens_left = 0;  // positions that the answer may still take, its end token included
  // A valid filling, where one is known: one token for every position. kNoToken: after the end.
  absl::Span<const TokenId> witness;
  bool draws = false;  // a filling is drawn, not the best one taken
};

// What the fillings say of one masked position.
struct GuidedMarginal {
  double log_probability = 0;  // ln P of the chosen token, whatever is valid
  double chosen = 0;           // probability of the chosen token among the valid fillings
  double alive = 0;            // P of those candidates of the row that are in some valid filling
  double entropy = 0;          // of the position's token among the valid fillings
  bool known = true;           // the chosen token's logit is known
  bool ended = false;          // the answer has ended before it, so that no token is chosen
};

struct GuidedFilling {
  std::vector<TokenId> tokens;              // of every position; kNoToken after the end
  std::vector<GuidedMarginal> marginals;    // of every position; of known ones without meaning
  std::vector<grammar::TokenState> states;  // before every position, and after the last
};

// Exact among the candidates: the filling of the largest product of probabilities, or one drawn
// from that product restricted to valid fillings (Dang & Ermon, arXiv 2607.07026), as long as no
// layer has more than kMaxLayerStates states that matter. Fillings of less than 2^-30 of the best
// one's probability may be left out. Pure: depends on nothing but the problem. One thread.
class BlockGraph {
 public:
  static constexpr size_t kMaxLayerStates = 256;

  // Requires: what the problem points to outlives this.
  explicit BlockGraph(const BlockProblem& problem);

  // Absent when no filling of candidates is valid, which a valid witness excludes.
  std::optional<GuidedFilling> Solve();
  // Ids that may follow some state of a position's layer, as bits. Requires: Solve was called.
  std::vector<uint64_t> AllowedAt(size_t position) const;

 private:
  struct Edge {
    int from = 0;         // index into the layer before the position
    int to = 0;           // and into that after it
    int candidate = -1;   // of the row; -1: the known token, or anything after the end
    double log_best = 0;  // what it adds to a filling's score
    double log_sum = 0;   // and what all that it stands for adds to sums
  };
  struct Node {
    grammar::TokenState state;
    double score = 0;     // of the best way here
    double forward = 0;   // ln of the sum of ways here
    double backward = 0;  // ln of the sum of ways on from here
    double best_on = 0;   // the best way on
  };
  using Layer = std::vector<Node>;
  // A node of a layer with a candidate of the position after it.
  struct Way {
    double score = 0;  // of the best way to the node, and of the candidate
    int node = 0;
    int candidate = 0;
  };

  // Grows all layers; at most `width` nodes each, without those that cannot come up to `bound`.
  void Grow(size_t width, double bound);
  void ExpandKnown(size_t position, int node);
  // All ways from a layer that can come up to `bound`.
  std::vector<Way> WaysFrom(size_t position, double bound) const;
  // Tries ways, where they are many the best ones and the witness's.
  void ExpandMasked(size_t position, size_t width, std::vector<Way> ways);
  void AddEdge(size_t position, Edge edge, grammar::TokenState to);
  void Narrow(size_t position, size_t width);
  bool MayStand(grammar::TokenState state, size_t num_tokens) const;
  double FollowWitness();
  double BestScore() const;
  void SumBackward();
  void SumForward();
  const Edge& ChooseEdge(size_t position, int node) const;
  GuidedMarginal MarginalAt(size_t position, int chosen) const;

  const BlockProblem problem_;
  std::vector<double> rest_;  // [position]: what the positions from it on can add at best
  std::vector<Layer> layers_;
  std::vector<std::vector<Edge>> edges_;                 // by position
  absl::flat_hash_map<grammar::TokenState, int> index_;  // of the layer that grows
  std::vector<grammar::TokenState> witness_states_;      // after every position, where it is one
};

}  // namespace sdar
