// SPDX-License-Identifier: Apache-2.0
// One line of sdar-tokenize: a request object in, a result object out.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/json.h"
#include "runtime/text/chat_template.h"
#include "runtime/text/tokenizer.h"

namespace sdar {

// Answers requests of three kinds, told apart by "text", "messages" or "ids".
class LineTokenizer {
 public:
  // Loads the tokenizer and, where there is one, the chat template of `folder`.
  static absl::StatusOr<LineTokenizer> Load(const std::string& folder);

  // The result for `line`, the JSON text of one object. InvalidArgument says what is wrong with it;
  // `request` is then as much of the object as was read, for its id.
  absl::StatusOr<Json> Answer(absl::string_view line, Json& request) const;

 private:
  LineTokenizer(Tokenizer tokenizer, absl::StatusOr<ChatTemplate> chat_template)
      : tokenizer_(std::move(tokenizer)), chat_template_(std::move(chat_template)) {}

  absl::StatusOr<Json> AnswerText(const Json& request) const;
  absl::StatusOr<Json> AnswerMessages(const Json& request) const;
  absl::StatusOr<Json> AnswerIds(const Json& request) const;
  void AddDecoded(const std::vector<TokenId>& ids, Json& result) const;

  Tokenizer tokenizer_;
  absl::StatusOr<ChatTemplate> chat_template_;  // its error is that of every line with messages
};

}  // namespace sdar
