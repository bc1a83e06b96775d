// SPDX-License-Identifier: Apache-2.0
// Turns a sequence's final tokens, left to right, into text, and finds where the output ends.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "runtime/request/generation_request.h"
#include "runtime/text/incremental_detokenizer.h"
#include "runtime/text/tokenizer.h"

namespace sdar {

// The earliest of stop token, stop string and max_tokens ends the output. A stop token is not part
// of it; of a stop string's tokens those are that begin before it. Text that may be the start of a
// stop string is held back, and so are its tokens. One thread.
class OutputScanner {
 public:
  // Requires: the tokenizer outlives this.
  OutputScanner(const Tokenizer& tokenizer, const StoppingOptions& stopping,
                bool skip_special_tokens);

  // Takes the next token; appends what it made final to `out`'s text and tokens. Requires:
  // !ended().
  void Push(const RevealedToken& token, SequenceUpdate& out);

  bool ended() const { return ended_; }
  // Requires: ended(). Usage is left to the caller but for completion_tokens.
  SequenceEnd End() const;
  int64_t num_tokens() const { return num_tokens_; }

 private:
  struct HeldToken {
    RevealedToken token;
    size_t begin;  // offsets into held_text_
    size_t end;
  };
  struct Match {
    size_t begin;
    std::string stop;
  };

  std::optional<Match> FindStop() const;
  size_t SafeLength() const;
  void Emit(size_t length, bool straddling_too, SequenceUpdate& out);
  void EndHere(FinishReason reason, SequenceUpdate& out);

  IncrementalDetokenizer detokenizer_;
  StoppingOptions stopping_;
  std::string held_text_;
  std::deque<HeldToken> held_tokens_;
  int64_t num_pushed_ = 0;
  int64_t num_tokens_ = 0;  // reported
  bool ended_ = false;
  FinishReason reason_ = FinishReason::kLength;
  std::optional<TokenId> stop_token_;
  std::optional<std::string> stop_string_;
};

}  // namespace sdar
