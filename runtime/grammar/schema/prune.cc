// SPDX-License-Identifier: Apache-2.0
// Shortest values, and what has none.
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "runtime/grammar/automaton/array_steps.h"
#include "runtime/grammar/automaton/object_thread_rules.h"
#include "runtime/grammar/schema/assembler.h"

namespace sdar::grammar {
namespace {

// Rounds over all rules until nothing gets shorter. Places are numbered as they are reached, so
// going backwards most rounds are two.
class LeastValues {
 public:
  explicit LeastValues(JsonGrammar& grammar)
      : grammar_(grammar),
        objects_(grammar, lists_),
        object_costs_(grammar.objects.size(), kNever),
        array_costs_(grammar.arrays.size(), kNever) {}

  absl::Status Run(int64_t max_work);
  int64_t OfObject(int rule) const { return object_costs_[static_cast<size_t>(rule)]; }
  int64_t OfArray(int rule) const { return array_costs_[static_cast<size_t>(rule)]; }

 private:
  bool Update(ValueNode& node);
  int64_t Least(NodeIndex node) const {
    return node == kNoNode ? kNever : grammar_.nodes[static_cast<size_t>(node)].least;
  }
  int64_t ObjectCost(int rule);
  int64_t ArrayCost(const ArrayRule& rule);
  int64_t GraphCost(ArrayRule& rule);

  JsonGrammar& grammar_;
  SequenceTable lists_;
  ObjectThreadRules objects_;
  std::vector<int64_t> object_costs_;
  std::vector<int64_t> array_costs_;
};

int64_t LeastValues::ObjectCost(int index) {
  const ObjectRule& rule = grammar_.objects[static_cast<size_t>(index)];
  int64_t num_required = 0;
  for (const PropertyRule& property : rule.named) {
    if (!property.required) continue;
    ++num_required;
    if (Least(property.node) >= kNever) return kNever;
  }
  if (rule.max >= 0 && num_required > rule.max) return kNever;
  return std::min(kNever, 1 + objects_.Finish(objects_.Begin(index, 0)));
}

// The elements that have to come from each state on, backwards until nothing changes.
int64_t LeastValues::GraphCost(ArrayRule& rule) {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = rule.graph.size(); i-- > 0;) {
      ArrayRule::State& state = rule.graph[i];
      int64_t least = state.accepts ? 0 : kNever;
      for (const ArrayStep& step : state.steps) {
        least = std::min(least,
                         1 + Least(step.node) + rule.graph[static_cast<size_t>(step.target)].least);
      }
      if (least >= state.least) continue;
      state.least = least;
      changed = true;
    }
  }
  const int64_t least = rule.graph[0].least;
  return least >= kNever ? kNever : least == 0 ? 2 : least + 1;
}

int64_t LeastValues::ArrayCost(const ArrayRule& rule) {
  if (rule.min == 0) return 2;
  int64_t cost = 1;
  const auto prefix = static_cast<int64_t>(rule.prefix.size());
  for (int64_t i = 0; i < std::min(prefix, rule.min); ++i) {
    cost += 1 + Least(rule.prefix[static_cast<size_t>(i)]);
    if (cost >= kNever) return kNever;
  }
  const int64_t missing = rule.min - prefix;
  if (missing <= 0) return cost;
  if (Least(rule.rest) >= kNever) return kNever;
  if (!rule.unique || missing > 64) return cost + missing * (1 + Least(rule.rest));
  const ValueNode& node = grammar_.nodes[static_cast<size_t>(rule.rest)];
  if (node.number != kNoDfa || !node.objects.empty() || !node.arrays.empty()) {
    return cost + missing * (1 + node.least);  // refused later
  }
  const std::vector<int64_t> values =
      CheapestDistinct(grammar_, rule.rest, {}, lists_, static_cast<size_t>(missing));
  if (static_cast<int64_t>(values.size()) < missing) return kNever;
  for (const int64_t value : values) cost += 1 + value;
  return cost;
}

bool LeastValues::Update(ValueNode& node) {
  int64_t least = node.takes_null || node.takes_true ? 4 : node.takes_false ? 5 : kNever;
  for (const auto& [dfa, quotes] : {std::pair(node.number, 0), std::pair(node.string, 2)}) {
    if (dfa == kNoDfa) continue;
    const ScanDfa& scan = grammar_.dfas[static_cast<size_t>(dfa)];
    least = std::min(least, scan.Least(scan.start()) + quotes);
  }
  for (const int rule : node.objects) {
    int64_t& cost = object_costs_[static_cast<size_t>(rule)];
    cost = ObjectCost(rule);
    least = std::min(least, cost);
  }
  for (const int index : node.arrays) {
    ArrayRule& rule = grammar_.arrays[static_cast<size_t>(index)];
    int64_t& cost = array_costs_[static_cast<size_t>(index)];
    cost = rule.graph.empty() ? ArrayCost(rule) : GraphCost(rule);
    least = std::min(least, cost);
  }
  return std::exchange(node.least, std::min(node.least, least)) > node.least;
}

absl::Status LeastValues::Run(int64_t max_work) {
  int64_t size = 1;
  for (const ObjectRule& rule : grammar_.objects) size += static_cast<int64_t>(rule.named.size());
  for (const ArrayRule& rule : grammar_.arrays) size += static_cast<int64_t>(rule.graph.size());
  size += static_cast<int64_t>(grammar_.nodes.size());
  int64_t work = 0;
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = grammar_.nodes.size(); i-- > 0;) changed = Update(grammar_.nodes[i]) || changed;
    work += size;
    if (work > max_work) {
      return absl::InvalidArgumentError("finding the shortest values takes too much work");
    }
  }
  return absl::OkStatus();
}

void PruneObject(const JsonGrammar& grammar, ObjectRule& rule) {
  const auto is_empty = [&](NodeIndex node) {
    return node == kNoNode || grammar.nodes[static_cast<size_t>(node)].least >= kNever;
  };
  for (PropertyRule& property : rule.named) {
    if (is_empty(property.node)) property.node = kNoNode;
  }
  std::vector<bool> lost(rule.named.size());  // implies what must not be there
  for (size_t i = 0; i < rule.named.size(); ++i) {
    for (const int place : rule.named[i].implied) {
      if (rule.named[static_cast<size_t>(place)].node == kNoNode) lost[i] = true;
    }
  }
  for (size_t i = 0; i < rule.named.size(); ++i) {
    if (lost[i]) rule.named[i].node = kNoNode;
  }
  std::vector<int> places(rule.classes.size(), -1);
  std::vector<NameClass> classes;
  for (size_t c = 0; c < rule.classes.size(); ++c) {
    if (is_empty(rule.classes[c].node)) continue;
    places[c] = static_cast<int>(classes.size());
    classes.push_back(rule.classes[c]);
  }
  rule.classes = std::move(classes);
  std::erase_if(rule.witnesses, [&](const Witness& witness) { return is_empty(witness.node); });
  for (Witness& witness : rule.witnesses) {
    witness.name_class = places[static_cast<size_t>(witness.name_class)];
  }
  FindCovers(rule);
}

void PruneArray(const JsonGrammar& grammar, ArrayRule& rule) {
  const auto is_empty = [&](NodeIndex node) {
    return node == kNoNode || grammar.nodes[static_cast<size_t>(node)].least >= kNever;
  };
  for (ArrayRule::State& state : rule.graph) {
    std::erase_if(state.steps, [&](const ArrayStep& step) {
      return is_empty(step.node) || rule.graph[static_cast<size_t>(step.target)].least >= kNever;
    });
  }
  for (size_t i = 0; i < rule.prefix.size(); ++i) {
    if (!is_empty(rule.prefix[i])) continue;
    rule.prefix.resize(i);
    rule.rest = kNoNode;
  }
  if (is_empty(rule.rest)) rule.rest = kNoNode;
}

}  // namespace

absl::Status Prune(JsonGrammar& grammar, const GrammarLimits& limits) {
  LeastValues least(grammar);
  if (absl::Status status = least.Run(limits.max_work * 4); !status.ok()) return status;
  for (ObjectRule& rule : grammar.objects) PruneObject(grammar, rule);
  for (ArrayRule& rule : grammar.arrays) PruneArray(grammar, rule);
  for (ValueNode& node : grammar.nodes) {
    std::erase_if(node.objects, [&](int rule) { return least.OfObject(rule) >= kNever; });
    std::erase_if(node.arrays, [&](int rule) { return least.OfArray(rule) >= kNever; });
  }
  if (grammar.nodes[static_cast<size_t>(grammar.root)].least >= kNever) grammar.root = kNoNode;
  return absl::OkStatus();
}

}  // namespace sdar::grammar
