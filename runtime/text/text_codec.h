// SPDX-License-Identifier: Apache-2.0
// A model folder's way from what a user writes to token ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/context_length.h"
#include "runtime/text/chat_template.h"
#include "runtime/text/tokenizer.h"

namespace sdar {

// The tokenizer and, where the folder has one, the chat template. Const use is thread-safe.
class TextCodec {
 public:
  // Errors of Tokenizer::Load. A missing or broken template is an error of EncodeChat only.
  static absl::StatusOr<TextCodec> Load(const std::string& folder) {
    auto tokenizer = Tokenizer::Load(folder);
    if (!tokenizer.ok()) return tokenizer.status();
    return TextCodec(*std::move(tokenizer), LoadChatTemplate(folder));
  }

  // As many as the body of a request may have.
  static constexpr size_t kMaxDecodedBytes = size_t{16} << 20;

  const Tokenizer& tokenizer() const { return tokenizer_; }

  // From now on EncodePrompt refuses by their bytes prompts that cannot be `max_tokens` or fewer.
  void LimitPrompts(int64_t max_tokens) {
    max_tokens_ = max_tokens;
    max_prompt_bytes_ = tokenizer_.MaxTextBytes(max_tokens);
  }
  // Absent: there is no limit.
  std::optional<size_t> max_prompt_bytes() const { return max_prompt_bytes_; }

  // The ids of a prompt. InvalidArgument for one that is too long, before it is tokenized.
  absl::StatusOr<std::vector<TokenId>> EncodePrompt(absl::string_view prompt) const {
    if (max_prompt_bytes_ && prompt.size() > *max_prompt_bytes_) {
      return ContextLengthExceeded(absl::StatusCode::kInvalidArgument, max_tokens_,
                                   absl::StrCat("They are at most ", *max_prompt_bytes_,
                                                " bytes; the prompt has ", prompt.size(), "."));
    }
    return tokenizer_.Encode(prompt);
  }

  // The text of `ids`, at most kMaxDecodedBytes of it. InvalidArgument names `field`.
  absl::StatusOr<std::string> DecodeIds(absl::Span<const TokenId> ids, bool skip_special,
                                        absl::string_view field) const {
    size_t bytes = 0;
    for (const TokenId id : ids) {
      if (!tokenizer_.HasToken(id)) {
        return absl::InvalidArgumentError(absl::StrCat(field, ": the tokenizer has no token ", id));
      }
      bytes += tokenizer_.TokenBytes(id).size();
    }
    if (bytes > kMaxDecodedBytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          field, ": expected ids of at most ", kMaxDecodedBytes, " bytes of text, got ", bytes));
    }
    return tokenizer_.Decode(ids, skip_special);
  }

  // The prompt that the template renders.
  absl::StatusOr<std::string> RenderChat(const ChatRequest& request) const {
    if (!chat_template_.ok()) return chat_template_.status();
    return chat_template_->Render(request);
  }

  absl::StatusOr<std::vector<TokenId>> EncodeChat(const ChatRequest& request) const {
    auto prompt = RenderChat(request);
    if (!prompt.ok()) return prompt.status();
    return EncodePrompt(*prompt);
  }

 private:
  TextCodec(Tokenizer tokenizer, absl::StatusOr<ChatTemplate> chat_template)
      : tokenizer_(std::move(tokenizer)), chat_template_(std::move(chat_template)) {}

  Tokenizer tokenizer_;
  int64_t max_tokens_ = 0;
  std::optional<size_t> max_prompt_bytes_;
  absl::StatusOr<ChatTemplate> chat_template_;
};

}  // namespace sdar
