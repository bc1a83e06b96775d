// SPDX-License-Identifier: Apache-2.0
// Makes the grammars of requests, each once for as long as it is remembered.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

#include "common/ids.h"
#include "runtime/grammar/structure/structure_spec.h"
#include "runtime/grammar/tokens/token_grammar.h"
#include "runtime/grammar/tokens/vocabulary.h"

namespace sdar::grammar {

// The ids of tokens that part an answer; -1 where the vocabulary has no such token.
struct StructureMarks {
  TokenId think_begin = -1;
  TokenId think_end = -1;
  TokenId call_begin = -1;
  TokenId call_end = -1;
};

// Compiles a structure anew. `end_tokens`: any of them ends an answer; ascending, at least one.
// InvalidArgument says what is wrong with the structure or cannot be had exactly, with the JSON
// pointer of a schema's part; ResourceExhausted: it would take more time, states or memory than one
// may.
absl::StatusOr<std::shared_ptr<TokenGrammar>> CompileStructure(
    const StructureSpec& spec, std::shared_ptr<const Vocabulary> vocabulary,
    const StructureMarks& marks, absl::Span<const TokenId> end_tokens);

// Thread-safe. Requests with the same structure share one grammar.
class StructureCompiler {
 public:
  // Grammars that are remembered, and the bytes that they may take together.
  static constexpr size_t kMaxGrammars = 128;
  static constexpr size_t kMaxBytes = size_t{512} << 20;

  StructureCompiler(std::shared_ptr<const Vocabulary> vocabulary, const StructureMarks& marks)
      : vocabulary_(std::move(vocabulary)), marks_(marks) {}

  // CompileStructure, or what it gave before. Who asks for what is being compiled waits for it.
  absl::StatusOr<std::shared_ptr<TokenGrammar>> Compile(const StructureSpec& spec,
                                                        absl::Span<const TokenId> end_tokens);

  // Whether a prompt ends with an opened section of thinking, white space aside.
  bool EndsInThinking(absl::Span<const TokenId> prompt) const;

 private:
  struct Entry {
    absl::Mutex mutex;
    std::shared_ptr<TokenGrammar> grammar ABSL_GUARDED_BY(mutex);
  };
  using Recent = std::list<std::pair<std::string, std::shared_ptr<Entry>>>;

  std::shared_ptr<Entry> EntryOf(const std::string& key);
  void Trim();

  const std::shared_ptr<const Vocabulary> vocabulary_;
  const StructureMarks marks_;
  absl::Mutex mutex_;
  Recent recent_ ABSL_GUARDED_BY(mutex_);  // used last first
  absl::flat_hash_map<std::string, Recent::iterator> by_key_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sdar::grammar
