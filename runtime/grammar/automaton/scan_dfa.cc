// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/scan_dfa.h"

#include <algorithm>
#include <climits>
#include <deque>
#include <functional>
#include <numeric>
#include <queue>
#include <utility>

namespace sdar::grammar {
namespace {

constexpr char32_t kAscii = 128;

int CostOfCharacter(const CharacterRanges& ranges, char32_t c) {
  int cost = INT_MAX;
  for (const CharacterRange& range : ranges) {
    if (c >= range.first && c <= range.last) cost = std::min(cost, range.cost);
  }
  return cost;
}

// The least cost of a character of first .. last; INT_MAX where the ranges hold none.
int CostOfEdge(const CharacterRanges& ranges, const Dfa::Edge& edge) {
  int cost = INT_MAX;
  for (const CharacterRange& range : ranges) {
    if (edge.first <= range.last && edge.last >= range.first) cost = std::min(cost, range.cost);
  }
  return cost;
}

// The same characters, each with its least cost alone: ascending and disjoint.
CharacterRanges Cheapest(const CharacterRanges& ranges) {
  std::vector<char32_t> borders;
  for (const CharacterRange& range : ranges)
    borders.insert(borders.end(), {range.first, range.last + 1});
  std::sort(borders.begin(), borders.end());
  borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
  CharacterRanges cheapest;
  for (size_t i = 0; i + 1 < borders.size(); ++i) {
    const int cost = CostOfCharacter(ranges, borders[i]);
    if (cost != INT_MAX) cheapest.push_back({borders[i], borders[i + 1] - 1, cost});
  }
  return cheapest;
}

// A prefix of a word, with the least that a whole word costs.
struct Prefix {
  int64_t least;
  int64_t spent;
  ScanDfa::State state;
  bool whole;  // the word ends here
  std::u32string text;
  bool operator>(const Prefix& other) const {
    return std::tie(least, text, whole) > std::tie(other.least, other.text, other.whole);
  }
};

using PrefixQueue = std::priority_queue<Prefix, std::vector<Prefix>, std::greater<>>;

}  // namespace

// The edges of an automaton by their targets: where each comes from, and the least that it costs.
struct ScanDfa::Sources {
  struct Source {
    State state;
    int cost;  // INT_MAX: no character of the edge can be written
  };
  explicit Sources(const Dfa& dfa, Writing writing)
      : begins(static_cast<size_t>(dfa.num_states()) + 1) {
    const CharacterRanges ranges = Cheapest(RangesOf(writing, kNoCharacter));
    for (State s = 0; s < dfa.num_states(); ++s) {
      for (const Edge& edge : dfa.Edges(s)) ++begins[static_cast<size_t>(edge.target) + 1];
    }
    std::partial_sum(begins.begin(), begins.end(), begins.begin());
    sources.resize(begins.back());
    std::vector<size_t> next = begins;
    for (State s = 0; s < dfa.num_states(); ++s) {
      for (const Edge& edge : dfa.Edges(s)) {
        sources[next[static_cast<size_t>(edge.target)]++] = {s, CostOfEdge(ranges, edge)};
      }
    }
  }
  absl::Span<const Source> operator[](State target) const {
    const size_t begin = begins[static_cast<size_t>(target)];
    return {sources.data() + begin, begins[static_cast<size_t>(target) + 1] - begin};
  }

  std::vector<size_t> begins;
  std::vector<Source> sources;
};

ScanDfa::ScanDfa(Dfa dfa, Writing writing) : dfa_(std::move(dfa)), writing_(writing) {
  const auto num_states = static_cast<size_t>(dfa_.num_states());
  if (num_states <= 4096) {
    ascii_.assign(num_states * kAscii, Dfa::kDead);
    for (size_t s = 0; s < num_states; ++s) {
      for (const Dfa::Edge& edge : dfa_.Edges(static_cast<State>(s))) {
        for (char32_t c = edge.first; c < kAscii && c <= edge.last; ++c) {
          ascii_[s * kAscii + c] = edge.target;
        }
      }
    }
  }
  const Sources sources(dfa_, writing_);
  FindLeast(sources);
  FindFree(sources);
  FindWords(sources);
}

absl::Span<const ScanDfa::Edge> ScanDfa::Edges(State state, EdgeBuffer& buffer) const {
  if (!lengths_) return dfa_.Edges(state);
  const State next = NextLength(state);
  if (next == Dfa::kDead) return {};
  buffer = {{{0, 0xD7FF, next}, {0xE000, 0x10FFFF, next}}};
  return buffer;
}

// Beyond min without a limit, more characters do not matter.
ScanDfa::State ScanDfa::NextLength(State state) const {
  if (lengths_->max < 0) return static_cast<State>(std::min<int64_t>(state + 1, lengths_->min));
  return state < lengths_->max ? state + 1 : Dfa::kDead;
}

int ScanDfa::FreeOfLengths(State state) const {
  if (writing_ != Writing::kJsonString) return 0;
  return lengths_->max < 0 ? INT_MAX : static_cast<int>(lengths_->max - state);
}

ScanDfa::State ScanDfa::Next(State state, char32_t code_point) const {
  if (lengths_) return NextLength(state);
  if (code_point < kAscii && !ascii_.empty()) {
    return ascii_[static_cast<size_t>(state) * kAscii + code_point];
  }
  return dfa_.Next(state, code_point);
}

// Dijkstra's algorithm from the accepting states backwards.
void ScanDfa::FindLeast(const Sources& sources) {
  least_.assign(static_cast<size_t>(dfa_.num_states()), kNever);
  using Entry = std::pair<int64_t, State>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
  for (State s = 0; s < dfa_.num_states(); ++s) {
    if (dfa_.Accepts(s)) open.emplace(least_[static_cast<size_t>(s)] = 0, s);
  }
  while (!open.empty()) {
    const auto [cost, state] = open.top();
    open.pop();
    if (cost > least_[static_cast<size_t>(state)]) continue;
    for (const auto& [source, edge_cost] : sources[state]) {
      int64_t& least = least_[static_cast<size_t>(source)];
      if (edge_cost != INT_MAX && cost + edge_cost < least) {
        open.emplace(least = cost + edge_cost, source);
      }
    }
  }
}

bool ScanDfa::TakesAnything(State state) const {
  constexpr std::pair<char32_t, char32_t> kFree[] = {
      {0x20, 0x21}, {0x23, 0x5B}, {0x5D, 0xD7FF}, {0xE000, 0x10FFFF}};
  for (const auto& [first, last] : kFree) {
    char32_t at = first;
    for (const Dfa::Edge& edge : dfa_.Edges(state)) {
      if (edge.first <= at && edge.last >= at) at = edge.last + 1;
      if (at == 0xD800) at = 0xE000;
    }
    if (at <= last) return false;
  }
  return true;
}

// A state is free for one character more than the least free of those that follow.
void ScanDfa::FindFree(const Sources& sources) {
  free_.assign(static_cast<size_t>(dfa_.num_states()), INT_MAX);
  if (writing_ != Writing::kJsonString) {
    std::fill(free_.begin(), free_.end(), 0);
    return;
  }
  std::deque<State> open;
  for (State s = 0; s < dfa_.num_states(); ++s) {
    if (TakesAnything(s)) continue;
    free_[static_cast<size_t>(s)] = 0;
    open.push_back(s);
  }
  for (; !open.empty(); open.pop_front()) {
    for (const auto& [source, cost] : sources[open.front()]) {
      if (free_[static_cast<size_t>(source)] != INT_MAX) continue;
      free_[static_cast<size_t>(source)] = free_[static_cast<size_t>(open.front())] + 1;
      open.push_back(source);
    }
  }
}

// Counts from the ends backwards; a state on a circle or before one has many.
void ScanDfa::FindWords(const Sources& sources) {
  const auto num_states = static_cast<size_t>(dfa_.num_states());
  words_.assign(num_states, kManyWords);
  std::vector<size_t> waiting(num_states, 0);  // edges to states that are not counted yet
  std::vector<State> ready;
  for (State s = 0; s < dfa_.num_states(); ++s) {
    waiting[static_cast<size_t>(s)] = dfa_.Edges(s).size();
    if (dfa_.Edges(s).empty()) ready.push_back(s);
  }
  while (!ready.empty()) {
    const State state = ready.back();
    ready.pop_back();
    int64_t words = dfa_.Accepts(state) ? 1 : 0;
    for (const Dfa::Edge& edge : dfa_.Edges(state)) {
      const int64_t width = int64_t{edge.last} - int64_t{edge.first} + 1;
      words =
          std::min<int64_t>(kManyWords, words + width * words_[static_cast<size_t>(edge.target)]);
    }
    words_[static_cast<size_t>(state)] = static_cast<int>(words);
    for (const auto& [source, cost] : sources[state]) {
      if (--waiting[static_cast<size_t>(source)] == 0) ready.push_back(source);
    }
  }
}

int64_t ScanDfa::LeastFrom(State state, BegunCharacter begun) const {
  if (begun == kNoCharacter) return Least(state);
  const CharacterRanges ranges = RangesOf(writing_, begun);
  int64_t least = kNever;
  EdgeBuffer buffer;
  for (const Edge& edge : Edges(state, buffer)) {
    const int cost = CostOfEdge(ranges, edge);
    if (cost != INT_MAX) least = std::min(least, cost + Least(edge.target));
  }
  return least;
}

// An edge of many characters gives as many as words are wanted, of each cost, which is enough
// because words that differ only there cost the same. Each way on has a word of its own, so only as
// many ways as words are wanted matter.
std::vector<ScanDfa::WayOn> ScanDfa::CheapestWaysOn(State state, const CharacterRanges& ranges,
                                                    int count) const {
  std::vector<WayOn> ways;
  EdgeBuffer buffer;
  for (const Edge& edge : Edges(state, buffer)) {
    for (const CharacterRange& range : ranges) {
      char32_t c = std::max(edge.first, range.first);
      for (int n = 0; n < count && c <= std::min(edge.last, range.last); ++n, ++c) {
        ways.push_back({range.cost + Least(edge.target), c, range.cost, edge.target});
      }
    }
  }
  if (ways.size() > static_cast<size_t>(count)) {
    std::nth_element(ways.begin(), ways.begin() + count, ways.end(),
                     [](const WayOn& a, const WayOn& b) {
                       return std::tie(a.least, a.character) < std::tie(b.least, b.character);
                     });
    ways.resize(static_cast<size_t>(count));
  }
  return ways;
}

// Best-first over prefixes.
std::vector<CheapWord> ScanDfa::CheapestWords(State state, BegunCharacter begun, int count) const {
  std::vector<CheapWord> words;
  const CharacterRanges all = Cheapest(RangesOf(writing_, kNoCharacter));
  PrefixQueue open;
  const auto extend = [&](const Prefix& from, const CharacterRanges& ranges) {
    for (const WayOn& way : CheapestWaysOn(from.state, ranges, count)) {
      open.push({from.spent + way.least, from.spent + way.cost, way.target, false,
                 from.text + way.character});
    }
  };
  if (begun == kNoCharacter) {
    open.push({Least(state), 0, state, false, {}});
  } else {
    extend({0, 0, state, false, {}}, Cheapest(RangesOf(writing_, begun)));
  }
  for (int step = 0; step < kMaxCheapSteps && !open.empty(); ++step) {
    const Prefix best = open.top();
    open.pop();
    if (best.whole) {
      if (!words.empty() && words.back().text == best.text) continue;
      words.push_back({best.text, best.spent});
      if (static_cast<int>(words.size()) >= count) break;
      continue;
    }
    if (Accepts(best.state)) open.push({best.spent, best.spent, best.state, true, best.text});
    extend(best, all);
  }
  return words;
}

size_t ScanDfa::MemoryBytes() const {
  size_t bytes = ascii_.size() * sizeof(State) + least_.size() * 16;
  for (State s = 0; s < dfa_.num_states(); ++s) {
    bytes += dfa_.Edges(s).size() * sizeof(Dfa::Edge) + sizeof(size_t);
  }
  return bytes;
}

int64_t CostOf(Writing writing, absl::Span<const char32_t> text) {
  const CharacterRanges ranges = RangesOf(writing, kNoCharacter);
  int64_t cost = 0;
  for (const char32_t c : text) cost += CostOfCharacter(ranges, c);
  return cost;
}

}  // namespace sdar::grammar
