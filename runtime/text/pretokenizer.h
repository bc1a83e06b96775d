// SPDX-License-Identifier: Apache-2.0
// Cuts text into the words that byte-pair merging never crosses, by regular expressions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sdar {

struct CompiledPattern;

// A sequence of "Split, Isolated" pre-tokenizers: each pattern cuts the pieces of the one before
// into its matches and what lies between them. Thread-safe.
class Pretokenizer {
 public:
  // The pattern of Qwen2 tokenizers, which files without a tokenizer.json leave unsaid.
  static absl::string_view Qwen2Pattern();
  // The pattern of a byte-level pre-tokenizer with use_regex.
  static absl::string_view ByteLevelPattern();

  // InvalidArgument names a pattern that PCRE2 does not compile.
  static absl::StatusOr<Pretokenizer> Create(const std::vector<std::string>& patterns);

  Pretokenizer(Pretokenizer&&) noexcept;
  Pretokenizer& operator=(Pretokenizer&&) noexcept;
  ~Pretokenizer();

  // Takes one word.
  using WordSink = absl::FunctionRef<void(absl::string_view)>;

  // Gives the words of `text` to `sink`, in order; together they are the text. Requires: valid
  // UTF-8, which the words borrow. ResourceExhausted when a pattern passes PCRE2's limits on this
  // text; some words may then have been given.
  absl::Status Split(absl::string_view text, WordSink sink) const;

 private:
  Pretokenizer();

  std::vector<std::unique_ptr<CompiledPattern>> patterns_;
};

}  // namespace sdar
