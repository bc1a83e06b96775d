// SPDX-License-Identifier: Apache-2.0
// Keeps account of the updates of many sequences: each ends exactly once, and then nothing comes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "runtime/request/generation_request.h"

namespace sdar {

// What a sequence brought in all.
struct SequenceOutcome {
  absl::Status status;
  std::string text;
  std::vector<TokenId> tokens;
  std::vector<double> logprobs;
  bool operator==(const SequenceOutcome& other) const {
    return status == other.status && text == other.text && tokens == other.tokens &&
           logprobs == other.logprobs;
  }
};

// Thread-safe.
class UpdateLedger {
 public:
  // A callback for a sequence that is called `key` here.
  UpdateCallback Open(int64_t key) {
    {
      absl::MutexLock lock(&mutex_);
      entries_[key];
    }
    return [this, key](const SequenceUpdate& update) { Note(key, update); };
  }
  // The sequence was refused: no update may come.
  void Drop(int64_t key) {
    absl::MutexLock lock(&mutex_);
    entries_.erase(key);
  }
  // Waits until something has come.
  void AwaitNews(int64_t key) { AwaitEntry(key, &Entry::has_news); }
  // Waits for the end and closes the entry.
  SequenceOutcome AwaitEnd(int64_t key) {
    AwaitEntry(key, &Entry::ended);
    absl::MutexLock lock(&mutex_);
    SequenceOutcome outcome = std::move(entries_.at(key).outcome);
    entries_.erase(key);
    return outcome;
  }
  // Updates after an end, or for what was refused.
  int64_t num_strays() const {
    absl::MutexLock lock(&mutex_);
    return num_strays_;
  }

 private:
  struct Entry {
    SequenceOutcome outcome;
    bool has_news = false;
    bool ended = false;
  };

  void AwaitEntry(int64_t key, bool Entry::*flag) {
    absl::MutexLock lock(&mutex_);
    const bool& is_set = entries_.at(key).*flag;
    mutex_.Await(absl::Condition(&is_set));
  }

  void Note(int64_t key, const SequenceUpdate& update) {
    absl::MutexLock lock(&mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end() || found->second.ended) {
      ++num_strays_;
      return;
    }
    Entry& entry = found->second;
    entry.has_news = true;
    entry.outcome.text += update.text;
    for (const RevealedToken& token : update.tokens) {
      entry.outcome.tokens.push_back(token.id);
      entry.outcome.logprobs.push_back(token.logprob);
    }
    if (!update.end) return;
    entry.ended = true;
    entry.outcome.status = update.end->status;
  }

  mutable absl::Mutex mutex_;
  std::map<int64_t, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  int64_t num_strays_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace sdar
