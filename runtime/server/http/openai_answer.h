// SPDX-License-Identifier: Apache-2.0
// A call's answer in the forms of the OpenAI API.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/json.h"
#include "runtime/server/http/openai_request.h"
#include "runtime/server/http/output_splitter.h"
#include "runtime/text/tokenizer.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

// Takes a call's responses in order and makes of them either chunks, one or none for each, or in
// the end one body. One thread at a time.
class OpenAiAnswer {
 public:
  // created: Unix seconds. Requires: the tokenizer outlives this.
  OpenAiAnswer(const OpenAiCall& call, std::string id, int64_t created, const Tokenizer& tokenizer);

  // The chunks that a response makes. With OpenAiCall::call.provisional, a block's state after a
  // step is a chunk without choices, with "provisional".
  std::vector<Json> Chunks(const sdar::v1::GenerateResponse& response);
  // The last chunk, with the usage and without choices.
  Json UsageChunk() const;

  // Keeps what a response says for Body.
  void Add(const sdar::v1::GenerateResponse& response);
  // Requires: the answer is complete.
  Json Body() const;

 private:
  // What is known of one sample.
  struct Choice {
    explicit Choice(const OutputSplitter::Options& options) : splitter(options) {}
    OutputSplitter splitter;
    bool begun = false;  // a chunk of it was made
    int64_t num_tool_calls = 0;
    size_t text_bytes = 0;  // of a completion, so far
    std::string text;       // content
    std::string reasoning;
    Json tool_calls = Json::array();
    Json logprobs;  // null: none are wanted, or none came
    Json finish_reason;
    Json stop_reason;
  };
  // News of one sample.
  // NOLINTNEXTLINE(bugprone-exception-escape): its moves are those of JSON values
  struct News {
    OutputPiece piece;
    Json logprobs;
    bool finished = false;
  };

  News Take(const sdar::v1::GenerateResponse& response, Choice& choice);
  void Finish(const sdar::v1::Finished& finished, Choice& choice);
  Json Logprobs(const sdar::v1::Delta& delta, const Choice& choice) const;
  Json ChatLogprobs(const sdar::v1::Delta& delta) const;
  Json CompletionLogprobs(const sdar::v1::Delta& delta, size_t text_offset) const;
  Json ChatDelta(const News& news, Choice& choice) const;
  Json Envelope(const char* object) const;
  Json Usage() const;
  Json ToolCallJson(const ToolCall& call, size_t choice, int64_t number) const;
  Json ProvisionalChunk(const sdar::v1::Provisional& provisional) const;
  std::string TokenText(uint32_t id) const;

  bool chat_;
  bool with_logprobs_;
  std::string model_;
  std::string id_;
  int64_t created_;
  const Tokenizer& tokenizer_;
  std::vector<Choice> choices_;
  int64_t prompt_tokens_ = 0;
  int64_t cached_tokens_ = 0;
  int64_t completion_tokens_ = 0;
  int64_t denoising_steps_ = 0;
  int64_t forward_passes_ = 0;
};

}  // namespace sdar
