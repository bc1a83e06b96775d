// SPDX-License-Identifier: Apache-2.0
#include "tests/launcher/serve/soak_tally.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace sdar {

using grpc::StatusCode;

const CallRules& RulesOf(CallKind kind) {
  static const auto* const rules = new std::array<CallRules, kNumCallKinds>{{
      {"answer", 30, StatusCode::OK, {}},
      {"provisional", 10, StatusCode::OK, {}},
      {"cancel", 15, StatusCode::CANCELLED, {StatusCode::OK}},
      {"deadline", 10, StatusCode::DEADLINE_EXCEEDED, {StatusCode::OK}},
      {"timeout", 10, StatusCode::DEADLINE_EXCEEDED, {StatusCode::OK}},
      {"slow", 2, StatusCode::RESOURCE_EXHAUSTED, {StatusCode::OK}},
      {"gone", 2, StatusCode::CANCELLED, {StatusCode::OK, StatusCode::RESOURCE_EXHAUSTED}},
      {"abort", 9, StatusCode::CANCELLED, {StatusCode::OK}},
      {"too large", 5, StatusCode::RESOURCE_EXHAUSTED, {}},
      {"bad", 5, StatusCode::INVALID_ARGUMENT, {}},
  }};
  return (*rules)[static_cast<size_t>(kind)];
}

bool SoakTally::Note(CallKind kind, StatusCode code) {
  const CallRules& rules = RulesOf(kind);
  absl::MutexLock lock(&mutex_);
  ++counts_[{kind, code}];
  return code == rules.usual ||
         std::count(rules.also_allowed.begin(), rules.also_allowed.end(), code) > 0;
}

int64_t SoakTally::Count(CallKind kind, StatusCode code) const {
  absl::MutexLock lock(&mutex_);
  const auto found = counts_.find({kind, code});
  return found == counts_.end() ? 0 : found->second;
}

int64_t SoakTally::total() const {
  absl::MutexLock lock(&mutex_);
  int64_t sum = 0;
  for (const auto& [end, count] : counts_) sum += count;
  return sum;
}

std::string SoakTally::Text() const {
  std::string text;
  for (size_t k = 0; k < kNumCallKinds; ++k) {
    const auto kind = static_cast<CallKind>(k);
    const CallRules& rules = RulesOf(kind);
    absl::StrAppend(&text, k > 0 ? ", " : "", rules.name, " ", Count(kind, rules.usual));
    int64_t others = 0;
    for (StatusCode code : rules.also_allowed) others += Count(kind, code);
    if (others > 0) absl::StrAppend(&text, "+", others);
  }
  return text;
}

}  // namespace sdar
