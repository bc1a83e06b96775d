// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/structure/structure_compiler.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "common/status_macros.h"

namespace sdar::grammar {

absl::StatusOr<std::shared_ptr<TokenGrammar>> StructureCompiler::Compile(
    const StructureSpec& spec, absl::Span<const TokenId> end_tokens) {
  const std::string key = absl::StrCat(spec.ToText(), absl::StrJoin(end_tokens, ","));
  const std::shared_ptr<Entry> entry = EntryOf(key);
  {
    absl::MutexLock lock(&entry->mutex);
    if (entry->grammar == nullptr) {
      SDAR_ASSIGN_OR_RETURN(entry->grammar,
                            CompileStructure(spec, vocabulary_, marks_, end_tokens));
    }
  }
  Trim();
  absl::MutexLock lock(&entry->mutex);
  return entry->grammar;
}

std::shared_ptr<StructureCompiler::Entry> StructureCompiler::EntryOf(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) {
    recent_.splice(recent_.begin(), recent_, found->second);
    return recent_.front().second;
  }
  recent_.emplace_front(key, std::make_shared<Entry>());
  by_key_.emplace(key, recent_.begin());
  return recent_.front().second;
}

// Forgets what was used least recently. Requests keep the grammars that they have.
void StructureCompiler::Trim() {
  absl::MutexLock lock(&mutex_);
  size_t bytes = 0, count = 0;
  for (auto it = recent_.begin(); it != recent_.end();) {
    const bool idle = it->second->mutex.TryLock();  // else it is being compiled
    size_t own = 0;
    if (idle) {
      if (it->second->grammar != nullptr) own = it->second->grammar->MemoryBytes();
      it->second->mutex.Unlock();
    }
    // The one that was used last stays, however large it is.
    if (idle && count > 0 && (count >= kMaxGrammars || bytes + own > kMaxBytes)) {
      by_key_.erase(it->first);
      it = recent_.erase(it);
      continue;
    }
    ++count;
    bytes += own;
    ++it;
  }
}

bool StructureCompiler::EndsInThinking(absl::Span<const TokenId> prompt) const {
  size_t end = prompt.size();
  while (end > 0 && prompt[end - 1] >= 0 && prompt[end - 1] < vocabulary_->size() &&
         HasBit(vocabulary_->space(), prompt[end - 1])) {
    --end;
  }
  return marks_.think_begin >= 0 && end > 0 && prompt[end - 1] == marks_.think_begin;
}

}  // namespace sdar::grammar
