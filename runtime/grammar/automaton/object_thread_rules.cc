// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/object_thread_rules.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace sdar::grammar {
namespace {

constexpr size_t kBits = 32;

bool HasBit(absl::Span<const uint32_t> bits, size_t place) {
  return place / kBits < bits.size() && (bits[place / kBits] >> (place % kBits) & 1) != 0;
}

uint32_t AddToList(SequenceTable& lists, uint32_t list, uint32_t text) {
  const absl::Span<const uint32_t> old = lists.Get(list);
  std::vector<uint32_t> joined(old.begin(), old.end());
  joined.insert(std::lower_bound(joined.begin(), joined.end(), text), text);
  return lists.Intern(joined);
}

}  // namespace

ObjectThread ObjectThreadRules::Begin(int rule, uint32_t slot) {
  ObjectThread thread;
  thread.rule = static_cast<uint32_t>(rule);
  thread.slot = slot;
  return thread;
}

bool ObjectThreadRules::IsSeen(const ObjectThread& thread, size_t place) const {
  return HasBit(lists_.Get(thread.seen), place);
}

bool ObjectThreadRules::IsForbidden(const ObjectThread& thread, uint32_t text) const {
  const absl::Span<const uint32_t> names = lists_.Get(thread.names);
  return std::binary_search(names.begin(), names.end(), text);
}

// Bytes of a comma, the name, the colon and a shortest value; kNever where it must not be there.
int64_t ObjectThreadRules::PropertyCost(const PropertyRule& property) const {
  if (property.node == kNoNode) return kNever;
  return 1 + property.key_cost + grammar_.nodes[static_cast<size_t>(property.node)].least;
}

ObjectThreadRules::Needs ObjectThreadRules::NeedsOf(const ObjectThread& thread) const {
  const ObjectRule& rule = RuleOf(thread);
  Needs needs;
  needs.named.resize(rule.named.size());
  const absl::Span<const uint32_t> seen = lists_.Get(thread.seen);
  for (size_t i = 0; i < rule.named.size(); ++i) {
    if (rule.named[i].required) needs.named[i] = true;
    if (!HasBit(seen, i)) continue;
    for (const int place : rule.named[i].implied) needs.named[static_cast<size_t>(place)] = true;
  }
  for (size_t i = 0; i < rule.named.size(); ++i) {
    if (HasBit(seen, i)) needs.named[i] = false;
    if (!needs.named[i]) continue;
    ++needs.count;
    needs.cost += PropertyCost(rule.named[i]);
  }
  return needs;
}

int64_t ObjectThreadRules::NumMissing(const ObjectThread& thread) const {
  return NeedsOf(thread).count;
}

bool ObjectThreadRules::Fits(const ObjectThread& thread) const {
  const ObjectRule& rule = RuleOf(thread);
  return rule.max < 0 ||
         int64_t{thread.count} + NumMissing(thread) + NumOutstanding(thread) <= rule.max;
}

void ObjectThreadRules::Count(ObjectThread& thread) const {
  const ObjectRule& rule = RuleOf(thread);
  if (rule.max < 0 && thread.count >= rule.min) {
    // One more does not matter, but an object that is not empty must be told from one that is.
    thread.count = static_cast<uint32_t>(std::max<int64_t>(rule.min, 1));
    return;
  }
  ++thread.count;
}

bool ObjectThreadRules::CanAddNamed(const ObjectThread& thread, size_t place) {
  const PropertyRule& property = RuleOf(thread).named[place];
  if (property.node == kNoNode || IsSeen(thread, place)) return false;
  return RuleOf(thread).max < 0 || AddNamed(thread, place).has_value();
}

std::optional<ObjectThread> ObjectThreadRules::AddNamed(const ObjectThread& thread, size_t place) {
  if (RuleOf(thread).named[place].node == kNoNode || IsSeen(thread, place)) return std::nullopt;
  ObjectThread added = thread;
  const absl::Span<const uint32_t> old = lists_.Get(thread.seen);
  std::vector<uint32_t> bits(old.begin(), old.end());
  bits.resize(std::max(bits.size(), place / kBits + 1));
  bits[place / kBits] |= 1u << (place % kBits);
  added.seen = lists_.Intern(bits);
  Count(added);
  if (RuleOf(thread).witnesses.empty() && added.count >= RuleOf(thread).min) added.names = 0;
  if (!Fits(added)) return std::nullopt;
  return added;
}

std::optional<ObjectThread> ObjectThreadRules::AddOther(const ObjectThread& thread, int name_class,
                                                        uint32_t text, int witness) {
  const ObjectRule& rule = RuleOf(thread);
  if (text != kOffText && IsForbidden(thread, text)) return std::nullopt;
  ObjectThread added = thread;
  if (witness >= 0) {
    const Witness& wanted = rule.witnesses[static_cast<size_t>(witness)];
    if (wanted.name_class != name_class || (thread.witnesses & wanted.does) != 0) {
      return std::nullopt;
    }
    added.witnesses |= wanted.does;
  }
  Count(added);
  const bool counts = int64_t{added.count} < rule.min;
  if (rule.witnesses.empty() && !counts) added.names = 0;
  if (text != kOffText && (counts || witness >= 0)) {
    added.names = AddToList(lists_, added.names, text);
  }
  if (!Fits(added)) return std::nullopt;
  return added;
}

bool ObjectThreadRules::CanAddClass(const ObjectThread& thread, int name_class) {
  const ObjectRule& rule = RuleOf(thread);
  if (rule.max < 0) return true;
  const int64_t room = rule.max - thread.count - NumMissing(thread) - NumOutstanding(thread);
  if (room > 0) return true;
  const uint32_t left = rule.wants & ~thread.witnesses;
  return std::any_of(rule.witnesses.begin(), rule.witnesses.end(), [&](const Witness& witness) {
    return witness.name_class == name_class && (witness.does & ~left) == 0 &&
           room + rule.covers[left] >= 1 + rule.covers[left & ~witness.does];
  });
}

bool ObjectThreadRules::CanAddOther(const ObjectThread& thread) {
  for (size_t c = 0; c < RuleOf(thread).classes.size(); ++c) {
    if (CanAddClass(thread, static_cast<int>(c))) return true;
  }
  return false;
}

bool ObjectThreadRules::CanAdd(const ObjectThread& thread) {
  if (CanAddOther(thread)) return true;
  for (size_t i = 0; i < RuleOf(thread).named.size(); ++i) {
    if (CanAddNamed(thread, i)) return true;
  }
  return false;
}

bool ObjectThreadRules::IsComplete(const ObjectThread& thread) {
  return int64_t{thread.count} >= RuleOf(thread).min && NumOutstanding(thread) == 0 &&
         NumMissing(thread) == 0;
}

bool ObjectThreadRules::Remembers(const ObjectThread& thread) const {
  const ObjectRule& rule = RuleOf(thread);
  if (rule.classes.empty()) return false;
  return int64_t{thread.count} + 1 < rule.min || NumOutstanding(thread) > 0;
}

// Bytes of the name in quotes and of the colon that stands at `rank` among the cheapest of a class
// that may still come.
int64_t ObjectThreadRules::CheapestName(const ObjectThread& thread, size_t name_class,
                                        size_t rank) {
  const int dfa = RuleOf(thread).classes[name_class].dfa;
  constexpr int64_t kQuotesAndColon = 3;
  if (dfa == kNoDfa) return kQuotesAndColon;
  const size_t num_forbidden = lists_.Get(thread.names).size();
  const size_t wanted = std::bit_ceil(rank + 1 + num_forbidden);
  std::vector<CheapWord>& words = cheapest_[{dfa, wanted}];
  const ScanDfa& scan = grammar_.dfas[static_cast<size_t>(dfa)];
  if (words.empty()) {
    words = scan.CheapestWords(scan.start(), kNoCharacter, static_cast<int>(wanted));
  }
  std::vector<uint32_t> text;
  for (const CheapWord& word : words) {
    text.assign(word.text.begin(), word.text.end());
    if (num_forbidden > 0 && IsForbidden(thread, lists_.Intern(text))) continue;
    if (rank-- == 0) return word.cost + kQuotesAndColon;
  }
  return kNever;
}

// The cheapest `extra` properties beyond those needed, each with a comma before it. Properties
// with others implied count with these; a rule that has such needs at most one.
int64_t ObjectThreadRules::ExtraCost(const ObjectThread& thread, const Needs& needs, int64_t extra,
                                     std::vector<size_t>& used) {
  const ObjectRule& rule = RuleOf(thread);
  std::vector<int64_t> costs;
  for (size_t i = 0; i < rule.named.size(); ++i) {
    if (needs.named[i] || !CanAddNamed(thread, i)) continue;
    int64_t cost = PropertyCost(rule.named[i]);
    for (const int place : rule.named[i].implied) {
      const auto other = static_cast<size_t>(place);
      if (!needs.named[other] && !IsSeen(thread, other)) cost += PropertyCost(rule.named[other]);
    }
    if (cost < kNever) costs.push_back(cost);
  }
  for (size_t c = 0; c < rule.classes.size(); ++c) {
    const int64_t value = grammar_.nodes[static_cast<size_t>(rule.classes[c].node)].least;
    for (int64_t n = 0; n < extra; ++n) {
      const int64_t name = CheapestName(thread, c, used[c]++);
      if (name >= kNever) break;
      costs.push_back(1 + name + value);
    }
  }
  std::sort(costs.begin(), costs.end());
  if (static_cast<int64_t>(costs.size()) < extra) return kNever;
  int64_t sum = 0;
  for (int64_t n = 0; n < extra; ++n) sum += costs[static_cast<size_t>(n)];
  return sum;
}

// Each way to do the wants, then what else has to come.
int64_t ObjectThreadRules::FinishWith(const ObjectThread& thread, uint32_t wants,
                                      const Needs& needs, const std::vector<size_t>& used) {
  const ObjectRule& rule = RuleOf(thread);
  if (wants == 0) {
    int64_t cost = needs.cost;
    int64_t count = needs.count;
    if (rule.max >= 0 && thread.count + count > rule.max) return kNever;
    if (const int64_t extra = rule.min - thread.count - count; extra > 0) {
      std::vector<size_t> taken = used;
      cost += ExtraCost(thread, needs, extra, taken);
      count += extra;
    }
    const bool first = thread.count == 0 && count > 0;
    return std::min(kNever, cost + 1 - (first ? 1 : 0));
  }
  const uint32_t first = wants & -wants;
  int64_t least = kNever;
  for (const Witness& witness : rule.witnesses) {
    if ((witness.does & first) == 0 || (witness.does & ~wants) != 0) continue;
    const auto name_class = static_cast<size_t>(witness.name_class);
    std::vector<size_t> taken = used;
    Needs more = needs;
    ++more.count;
    more.cost += 1 + CheapestName(thread, name_class, taken[name_class]++) +
                 grammar_.nodes[static_cast<size_t>(witness.node)].least;
    if (more.cost >= kNever) continue;
    least = std::min(least, FinishWith(thread, wants & ~witness.does, more, taken));
  }
  return least;
}

int64_t ObjectThreadRules::Finish(const ObjectThread& thread) {
  const ObjectRule& rule = RuleOf(thread);
  return FinishWith(thread, rule.wants & ~thread.witnesses, NeedsOf(thread),
                    std::vector<size_t>(rule.classes.size()));
}

}  // namespace sdar::grammar
