// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/sequence_table.h"

#include <algorithm>

namespace sdar::grammar {
namespace {

constexpr size_t kChunkWords = 16384;

}  // namespace

SequenceTable::SequenceTable()
    : entries_(std::make_unique<Entries>()),
      ids_(16, HashOf{entries_.get()}, Same{entries_.get()}) {
  Intern({});
}

uint32_t SequenceTable::Intern(absl::Span<const uint32_t> words) {
  if (const auto found = ids_.find(words); found != ids_.end()) return *found;
  uint32_t* copy = Allocate(words.size());
  std::copy(words.begin(), words.end(), copy);
  const auto id = static_cast<uint32_t>(entries_->size());
  entries_->push_back(absl::MakeConstSpan(copy, words.size()));
  ids_.insert(id);
  return id;
}

uint32_t* SequenceTable::Allocate(size_t count) {
  if (count > num_free_) {
    num_free_ = std::max(count, kChunkWords);
    num_words_ += num_free_;
    chunks_.push_back(std::make_unique<uint32_t[]>(num_free_));
    free_ = chunks_.back().get();
  }
  uint32_t* result = free_;
  free_ += count;
  num_free_ -= count;
  return result;
}

size_t SequenceTable::MemoryBytes() const {
  return num_words_ * sizeof(uint32_t) + entries_->capacity() * sizeof(absl::Span<const uint32_t>) +
         ids_.capacity() * (sizeof(uint32_t) + 1);
}

}  // namespace sdar::grammar
