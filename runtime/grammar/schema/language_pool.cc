// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/schema/language_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/grammar/regular/dfa_operations.h"

namespace sdar::grammar {
namespace {

// Of all automata that were joined and that this gave.
constexpr int64_t kMaxJoinedStates = 1'000'000;

// The automaton as bytes: equal for equal ones.
std::string KeyOf(const Dfa& dfa) {
  std::string key;
  const auto add = [&key](int64_t value) { key.append(reinterpret_cast<const char*>(&value), 4); };
  add(dfa.start());
  for (Dfa::State s = 0; s < dfa.num_states(); ++s) {
    add(dfa.Accepts(s) ? -1 : -2);
    for (const Dfa::Edge& edge : dfa.Edges(s)) {
      add(edge.first);
      add(edge.last);
      add(edge.target);
    }
  }
  return key;
}

}  // namespace

LanguagePool::LanguagePool(const RegularLimits& limits) : limits_(limits) {
  Add(Dfa());
  Add(AnyText());
}

LanguageId LanguagePool::Add(Dfa dfa) {
  const auto [found, is_new] =
      ids_.try_emplace(KeyOf(dfa), static_cast<LanguageId>(entries_.size()));
  if (is_new) entries_.push_back({std::move(dfa), std::nullopt});
  return found->second;
}

LanguageId LanguagePool::AddLengths(Lengths lengths) {
  if (lengths.max >= 0 && lengths.min > lengths.max) return kNoLanguage;
  if (lengths == Lengths{}) return kAnyText;
  const auto [found, is_new] =
      ids_.try_emplace(absl::StrCat("lengths ", lengths.min, " ", lengths.max),
                       static_cast<LanguageId>(entries_.size()));
  if (is_new) entries_.push_back({std::nullopt, lengths});
  return found->second;
}

ScanDfa LanguagePool::Scan(LanguageId id, Writing writing) const {
  if (At(id).lengths) return ScanDfa(*At(id).lengths, writing);
  return ScanDfa(*At(id).dfa, writing);
}

absl::StatusOr<const Dfa*> LanguagePool::Get(LanguageId id) {
  Entry& entry = entries_[static_cast<size_t>(id)];
  if (!entry.dfa) {
    SDAR_ASSIGN_OR_RETURN(entry.dfa,
                          LengthBetween(entry.lengths->min, entry.lengths->max, limits_));
  }
  return &*entry.dfa;
}

absl::StatusOr<LanguageId> LanguagePool::Intersect(LanguageId a, LanguageId b) {
  if (a == b || b == kAnyText) return a;
  if (a == kAnyText) return b;
  if (a == kNoLanguage || b == kNoLanguage) return kNoLanguage;
  if (At(a).lengths && At(b).lengths) {
    const Lengths& x = *At(a).lengths;
    const Lengths& y = *At(b).lengths;
    const int64_t max = x.max < 0 ? y.max : y.max < 0 ? x.max : std::min(x.max, y.max);
    return AddLengths({std::max(x.min, y.min), max});
  }
  return Join(Operation::kIntersect, std::min(a, b), std::max(a, b));
}

absl::StatusOr<LanguageId> LanguagePool::Union(LanguageId a, LanguageId b) {
  if (a == b || b == kNoLanguage) return a;
  if (a == kNoLanguage) return b;
  if (a == kAnyText || b == kAnyText) return kAnyText;
  return Join(Operation::kUnion, std::min(a, b), std::max(a, b));
}

absl::StatusOr<LanguageId> LanguagePool::Subtract(LanguageId a, LanguageId b) {
  if (a == b || b == kAnyText) return kNoLanguage;
  if (a == kNoLanguage || b == kNoLanguage) return a;
  return Join(Operation::kSubtract, a, b);
}

absl::StatusOr<LanguageId> LanguagePool::Join(Operation operation, LanguageId a, LanguageId b) {
  const auto key = std::make_tuple(operation, a, b);
  if (const auto found = joined_.find(key); found != joined_.end()) return found->second;
  SDAR_ASSIGN_OR_RETURN(const Dfa* x, Get(a));
  SDAR_ASSIGN_OR_RETURN(const Dfa* y, Get(b));
  absl::StatusOr<Dfa> dfa = operation == Operation::kIntersect ? grammar::Intersect(*x, *y, limits_)
                            : operation == Operation::kUnion   ? grammar::Union(*x, *y, limits_)
                                                               : grammar::Subtract(*x, *y, limits_);
  if (!dfa.ok()) return dfa.status();
  num_states_ += dfa->num_states() + x->num_states() + y->num_states();
  if (num_states_ > kMaxJoinedStates) {
    return absl::ResourceExhaustedError("the patterns together need too many states");
  }
  const LanguageId id = Add(*std::move(dfa));
  joined_[key] = id;
  return id;
}

bool LanguagePool::Has(LanguageId id, absl::string_view text) const {
  if (id == kAnyText) return true;
  if (id == kNoLanguage) return false;
  if (!At(id).lengths) return Contains(*At(id).dfa, text);
  const Lengths& lengths = *At(id).lengths;
  const int64_t count = std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
  });
  return count >= lengths.min && (lengths.max < 0 || count <= lengths.max);
}

}  // namespace sdar::grammar
