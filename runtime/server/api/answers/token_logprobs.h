// SPDX-License-Identifier: Apache-2.0
// Log-probabilities of tokens in the forms of OpenAI's API.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/json.h"
#include "runtime/text/tokenizer.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

// A token's text where that is UTF-8, else "bytes:\xe2\x9c": so parts of one character differ.
std::string TokenName(absl::string_view bytes);

// {"content": [..]} of a chat's new tokens. Requires: the delta has logprobs.
Json ChatLogprobs(const sdar::v1::Delta& delta, const Tokenizer& tokenizer);

// A completion's tokens: {"tokens", "token_logprobs", "top_logprobs", "text_offset"}, whose offsets
// count the characters of the text in front of a token. A token that begins within a character has
// that character's offset. Thread-hostile. Requires: the tokenizer outlives this.
class CompletionLogprobs {
 public:
  // skip_special: the text leaves special tokens out.
  CompletionLogprobs(const Tokenizer& tokenizer, bool skip_special)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  // Of the tokens of a prompt, which the text begins with. Its first token has no logprob.
  Json TakePrompt(const sdar::v1::ScoreResponse& scores);
  // The text begins with these tokens, of which nothing else is known.
  void SkipPrompt(absl::Span<const TokenId> ids);
  // Of new tokens. Requires: the delta has logprobs.
  Json Take(const sdar::v1::Delta& delta);

 private:
  struct Token {
    TokenId id = 0;
    float logprob = 0;
    const sdar::v1::Delta::Top* top = nullptr;  // null: it has no logprob
    bool shown = true;                          // it is in the text
  };
  void Append(const Token& token, Json& out);
  size_t Pass(absl::string_view bytes);

  const Tokenizer& tokenizer_;
  const bool skip_special_;
  size_t characters_ = 0;  // that have begun
};

// `more` at the end of `to`, list by list; either may be null.
void AppendLogprobs(const Json& more, Json& to);

// Of a prompt's tokens, as vLLM has them: null for the first, then an object by token id of
// {"logprob", "rank", "decoded_token"}: the token's own, whose rank may be null, and the
// alternatives'.
Json PromptLogprobs(const sdar::v1::ScoreResponse& scores, const Tokenizer& tokenizer);

}  // namespace sdar
