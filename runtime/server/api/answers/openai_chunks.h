// SPDX-License-Identifier: Apache-2.0
// What the chunks of OpenAI's chats and completions have in common.
#pragma once

#include <string>

#include "absl/status/status.h"

#include "common/json.h"
#include "runtime/server/api/answers/answer_form.h"
#include "runtime/server/api/answers/answer_usage.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

// Makes chunks and bodies of a call. Thread-hostile.
class OpenAiChunks {
 public:
  // kind, chunk_kind: of "object", in a body and in a chunk.
  OpenAiChunks(const ApiCall& call, AnswerIdentity identity, const char* kind,
               const char* chunk_kind);

  AnswerUsage& usage() { return usage_; }
  const std::string& id() const { return identity_.id; }
  bool stream() const { return stream_; }

  // An event with one choice.
  std::string Chunk(Json choice) const;
  // An event without choices, with a block's state after a step.
  std::string Provisional(size_t prompt, const sdar::v1::Provisional& provisional) const;
  // The usage where it was asked for, or the error; then [DONE].
  std::string End(const absl::Status& status) const;
  Json Body(Json choices) const;

 private:
  Json Envelope(const char* object) const;

  const bool stream_;
  const bool include_usage_;
  const bool continuous_usage_;
  const size_t samples_per_prompt_;
  const std::string model_;
  const AnswerIdentity identity_;
  const char* const kind_;
  const char* const chunk_kind_;
  AnswerUsage usage_;
};

}  // namespace sdar
