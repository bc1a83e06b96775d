// SPDX-License-Identifier: Apache-2.0
// Text of a token stream, as it comes.
#pragma once

#include <string>

#include "common/ids.h"
#include "runtime/text/tokenizer.h"

namespace sdar {

// Decodes one stream of tokens. What Push and Flush return, joined, is Tokenizer::Decode of all the
// ids; each piece is whole UTF-8.
class IncrementalDetokenizer {
 public:
  // Borrows `tokenizer`, which must outlive this.
  IncrementalDetokenizer(const Tokenizer& tokenizer, bool skip_special)
      : tokenizer_(&tokenizer), skip_special_(skip_special) {}

  // The text that `id` completes; at most three bytes wait for a token that completes them.
  std::string Push(TokenId id);

  // The end of the stream: U+FFFD for bytes that wait, else nothing. The stream starts anew.
  std::string Flush();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::string pending_;  // the beginning of a UTF-8 sequence
};

}  // namespace sdar
