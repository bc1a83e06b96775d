// SPDX-License-Identifier: Apache-2.0
#include "runtime/guided/block_graph.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "runtime/guided/log_sum.h"

namespace sdar {
namespace {

using grammar::kDeadTokenState;
using grammar::kDoneTokenState;
using grammar::TokenState;

constexpr size_t kBeamWidth = 8;
constexpr size_t kFewWays = 4 * BlockGraph::kMaxLayerStates;
constexpr double kNegligible = 20.8;  // ln 2^30
constexpr double kRounding = 1e-9;    // of sums of logarithms, amply

}  // namespace

BlockGraph::BlockGraph(const BlockProblem& problem)
    : problem_(problem), rest_(problem.positions.size() + 1) {
  for (size_t i = problem_.positions.size(); i-- > 0;) {
    const CandidateRow* row = problem_.positions[i].row;
    rest_[i] = rest_[i + 1] + (row == nullptr ? 0 : row->best());
  }
}

// Whether an answer may be in `state` after `num_tokens` tokens of the problem: an end must still
// be possible after its last token, and lie behind after its last allowed one.
bool BlockGraph::MayStand(TokenState state, size_t num_tokens) const {
  if (state == kDeadTokenState) return false;
  if (state == kDoneTokenState) return true;
  const int64_t left = problem_.tokens_left - static_cast<int64_t>(num_tokens);
  if (left <= 0) return false;
  return num_tokens < problem_.positions.size() || problem_.grammar->EndsBefore(state, left);
}

// The score of the witness; kLogZero where it is none. Fills witness_states_.
double BlockGraph::FollowWitness() {
  witness_states_.clear();
  if (problem_.witness.size() != problem_.positions.size()) return kLogZero;
  TokenState state = problem_.start;
  double score = 0;
  for (size_t i = 0; i < problem_.positions.size(); ++i) {
    const CandidateRow* row = problem_.positions[i].row;
    const TokenId token = row == nullptr ? problem_.positions[i].token : problem_.witness[i];
    if (state == kDoneTokenState) {
      score += row == nullptr ? 0 : row->best();
    } else {
      const std::optional<double> weight = row == nullptr ? 0 : row->LogWeightOf(token);
      if (!weight) return kLogZero;
      score += *weight;
      state = problem_.grammar->Next(state, token);
    }
    if (!MayStand(state, i + 1)) return kLogZero;
    witness_states_.push_back(state);
  }
  return score;
}

std::optional<GuidedFilling> BlockGraph::Solve() {
  double bound = FollowWitness();
  Grow(kBeamWidth, bound);
  bound = std::max(bound, BestScore());
  Grow(kMaxLayerStates, bound - kNegligible - kRounding);
  if (BestScore() == kLogZero) return std::nullopt;
  SumBackward();
  SumForward();
  GuidedFilling filling;
  int node = 0;
  for (size_t i = 0; i < problem_.positions.size(); ++i) {
    filling.states.push_back(layers_[i][static_cast<size_t>(node)].state);
    const Edge& edge = ChooseEdge(i, node);
    const GuidedPosition& position = problem_.positions[i];
    filling.marginals.push_back(MarginalAt(i, edge.candidate));
    TokenId token = position.token;
    if (edge.candidate >= 0) {
      token = position.row->candidates()[static_cast<size_t>(edge.candidate)].id;
    }
    filling.tokens.push_back(token);
    node = edge.to;
  }
  filling.states.push_back(layers_.back()[static_cast<size_t>(node)].state);
  return filling;
}

void BlockGraph::Grow(size_t width, double bound) {
  const size_t n = problem_.positions.size();
  layers_.assign(n + 1, Layer());
  edges_.assign(n, {});
  layers_[0].push_back({problem_.start});
  for (size_t i = 0; i < n; ++i) {
    index_.clear();
    const auto num_nodes = static_cast<int>(layers_[i].size());
    for (int node = 0; node < num_nodes; ++node) ExpandKnown(i, node);
    ExpandMasked(i, width, WaysFrom(i, bound));
    Narrow(i, width);
  }
}

// After the end anything may stand; a known token stands where it is.
void BlockGraph::ExpandKnown(size_t position, int node) {
  const GuidedPosition& at = problem_.positions[position];
  const Node& from = layers_[position][static_cast<size_t>(node)];
  const bool masked = at.row != nullptr;
  if (from.state == kDoneTokenState) {
    AddEdge(position, {node, 0, -1, masked ? at.row->best() : 0, masked ? at.row->log_mass() : 0},
            from.state);
  } else if (!masked) {
    AddEdge(position, {node}, problem_.grammar->Next(from.state, at.token));
  }
}

std::vector<BlockGraph::Way> BlockGraph::WaysFrom(size_t position, double bound) const {
  std::vector<Way> ways;
  const CandidateRow* row = problem_.positions[position].row;
  if (row == nullptr) return ways;
  const auto candidates = row->candidates();
  const Layer& layer = layers_[position];
  for (size_t node = 0; node < layer.size(); ++node) {
    if (layer[node].state == kDoneTokenState) continue;
    for (size_t c = 0; c < candidates.size(); ++c) {
      const double score = layer[node].score + candidates[c].log_weight;
      if (score + rest_[position + 1] < bound) break;
      ways.push_back({score, static_cast<int>(node), static_cast<int>(c)});
    }
  }
  return ways;
}

// Few ways are all tried. Of many the best come first: the first `width` states that they lead to
// are the best ones. Once there are more, the layer is not exact anyway, and what is left would
// only add states that Narrow drops, each of which the grammar keeps, and less likely ways.
void BlockGraph::ExpandMasked(size_t position, size_t width, std::vector<Way> ways) {
  if (ways.empty()) return;
  const auto candidates = problem_.positions[position].row->candidates();
  const Layer& before = layers_[position];
  const auto add = [&](const Way& way) {
    const RowCandidate& token = candidates[static_cast<size_t>(way.candidate)];
    const TokenState from = before[static_cast<size_t>(way.node)].state;
    AddEdge(position, {way.node, 0, way.candidate, token.log_weight, token.log_weight},
            problem_.grammar->Next(from, token.id));
  };
  const bool are_many = ways.size() > kFewWays;
  if (are_many) {
    std::stable_sort(ways.begin(), ways.end(),
                     [](const Way& a, const Way& b) { return a.score > b.score; });
  }
  size_t tried = 0;
  while (tried < ways.size() && (!are_many || layers_[position + 1].size() <= width)) {
    add(ways[tried++]);
  }
  if (position >= witness_states_.size()) return;
  const TokenState of_witness = position == 0 ? problem_.start : witness_states_[position - 1];
  for (; tried < ways.size(); ++tried) {
    const Way& way = ways[tried];
    if (before[static_cast<size_t>(way.node)].state == of_witness &&
        candidates[static_cast<size_t>(way.candidate)].id == problem_.witness[position]) {
      add(way);
    }
  }
}

void BlockGraph::AddEdge(size_t position, Edge edge, TokenState to) {
  if (!MayStand(to, position + 1)) return;
  const double score = layers_[position][static_cast<size_t>(edge.from)].score + edge.log_best;
  Layer& layer = layers_[position + 1];
  const auto [found, is_new] = index_.emplace(to, static_cast<int>(layer.size()));
  if (is_new) layer.push_back({to, score});
  edge.to = found->second;
  Node& node = layer[static_cast<size_t>(edge.to)];
  node.score = std::max(node.score, score);
  edges_[position].push_back(edge);
}

// Leaves the `width` best nodes of the layer after a position, and the witness's.
void BlockGraph::Narrow(size_t position, size_t width) {
  Layer& layer = layers_[position + 1];
  if (layer.size() <= width) return;
  std::vector<int> order(layer.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return layer[static_cast<size_t>(a)].score > layer[static_cast<size_t>(b)].score;
  });
  std::vector<int> place(layer.size(), -1);
  Layer kept;
  for (size_t i = 0; i < order.size(); ++i) {
    const Node& node = layer[static_cast<size_t>(order[i])];
    const bool of_witness =
        position < witness_states_.size() && node.state == witness_states_[position];
    if (i >= width && !of_witness) continue;
    place[static_cast<size_t>(order[i])] = static_cast<int>(kept.size());
    kept.push_back(node);
  }
  layer = std::move(kept);
  std::vector<Edge>& edges = edges_[position];
  for (Edge& edge : edges) edge.to = place[static_cast<size_t>(edge.to)];
  std::erase_if(edges, [](const Edge& edge) { return edge.to < 0; });
}

double BlockGraph::BestScore() const {
  double best = kLogZero;
  for (const Node& node : layers_.back()) best = std::max(best, node.score);
  return best;
}

void BlockGraph::SumBackward() {
  for (size_t i = edges_.size(); i-- > 0;) {
    for (Node& node : layers_[i]) node.backward = node.best_on = kLogZero;
    for (const Edge& edge : edges_[i]) {
      Node& from = layers_[i][static_cast<size_t>(edge.from)];
      const Node& to = layers_[i + 1][static_cast<size_t>(edge.to)];
      from.backward = LogAdd(from.backward, edge.log_sum + to.backward);
      from.best_on = std::max(from.best_on, edge.log_best + to.best_on);
    }
  }
}

void BlockGraph::SumForward() {
  for (size_t i = 0; i < edges_.size(); ++i) {
    for (Node& node : layers_[i + 1]) node.forward = kLogZero;
    for (const Edge& edge : edges_[i]) {
      Node& to = layers_[i + 1][static_cast<size_t>(edge.to)];
      to.forward =
          LogAdd(to.forward, layers_[i][static_cast<size_t>(edge.from)].forward + edge.log_sum);
    }
  }
}

// The edge out of a node that the filling takes: first of the best, or of the largest perturbed.
const BlockGraph::Edge& BlockGraph::ChooseEdge(size_t position, int node) const {
  const CandidateRow* row = problem_.positions[position].row;
  const Edge* best = nullptr;
  double best_value = 0;
  TokenId best_id = kNoToken;
  for (const Edge& edge : edges_[position]) {
    if (edge.from != node) continue;
    const Node& to = layers_[position + 1][static_cast<size_t>(edge.to)];
    double value = problem_.draws ? edge.log_sum + to.backward : edge.log_best + to.best_on;
    TokenId id = kNoToken;
    if (edge.candidate >= 0) {
      const RowCandidate& candidate = row->candidates()[static_cast<size_t>(edge.candidate)];
      value += double{candidate.gumbel};
      id = candidate.id;
    }
    if (best != nullptr && (value < best_value || (value == best_value && id >= best_id))) continue;
    best = &edge;
    best_value = value;
    best_id = id;
  }
  return *best;
}

GuidedMarginal BlockGraph::MarginalAt(size_t position, int chosen) const {
  GuidedMarginal marginal;
  const CandidateRow* row = problem_.positions[position].row;
  if (row == nullptr) return marginal;
  const auto candidates = row->candidates();
  std::vector<double> share(candidates.size());  // of the sum of all fillings
  double ended = 0;
  for (const Edge& edge : edges_[position]) {
    const double part = std::exp(
        layers_[position][static_cast<size_t>(edge.from)].forward + edge.log_sum +
        layers_[position + 1][static_cast<size_t>(edge.to)].backward - layers_[0][0].backward);
    (edge.candidate < 0 ? ended : share[static_cast<size_t>(edge.candidate)]) += part;
  }
  const auto count = [&](double part) { marginal.entropy -= part > 0 ? part * std::log(part) : 0; };
  count(ended);
  for (size_t c = 0; c < candidates.size(); ++c) {
    count(share[c]);
    if (share[c] > 0 || ended > 0) marginal.alive += candidates[c].probability;
  }
  if (chosen >= 0) {
    const RowCandidate& candidate = candidates[static_cast<size_t>(chosen)];
    marginal.log_probability = candidate.log_probability;
    marginal.chosen = share[static_cast<size_t>(chosen)];
    marginal.known = candidate.known;
  }
  marginal.ended = chosen < 0;
  return marginal;
}

std::vector<uint64_t> BlockGraph::AllowedAt(size_t position) const {
  std::vector<uint64_t> allowed;
  for (const Node& node : layers_[position]) {
    const std::shared_ptr<const grammar::TokenMask> mask = problem_.grammar->Mask(node.state);
    allowed.resize(std::max(allowed.size(), mask->bits.size()));
    for (size_t i = 0; i < mask->bits.size(); ++i) allowed[i] |= mask->bits[i];
  }
  return allowed;
}

}  // namespace sdar
