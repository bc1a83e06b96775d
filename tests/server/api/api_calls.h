// SPDX-License-Identifier: Apache-2.0
// Calls and responses for tests of bodies and answers.
#pragma once

#include <string>
#include <vector>

#include "common/json.h"
#include "runtime/server/api/answers/answer_form.h"
#include "runtime/server/api/api_call.h"
#include "runtime/text/text_codec.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

inline const TextCodec& TinyCodec() {
  static const TextCodec codec =
      *TextCodec::Load(std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny-chat");
  return codec;
}

inline const Tokenizer& TinyTokenizer() { return TinyCodec().tokenizer(); }

inline uint32_t IdOf(const std::string& token) {
  return static_cast<uint32_t>(*TinyTokenizer().FindToken(token));
}

inline std::vector<std::string> TinyModels() { return {"tiny", "alias"}; }

// Text that came with one token, which has a logprob and one alternative.
inline sdar::v1::GenerateResponse DeltaOf(uint32_t index, const std::string& text,
                                          uint32_t id = 'A') {
  sdar::v1::GenerateResponse response;
  sdar::v1::Delta& delta = *response.mutable_delta();
  delta.set_index(index);
  delta.set_text(text);
  delta.add_token_ids(id);
  delta.add_logprobs(-0.5f);
  sdar::v1::TokenLogprob& other = *delta.add_top()->add_alternatives();
  other.set_id(id + 1);
  other.set_logprob(-1.5f);
  return response;
}

inline sdar::v1::GenerateResponse FinishedOf(
    uint32_t index, sdar::v1::Finished::Reason reason = sdar::v1::Finished::STOP) {
  sdar::v1::GenerateResponse response;
  sdar::v1::Finished& finished = *response.mutable_finished();
  finished.set_index(index);
  finished.set_reason(reason);
  finished.mutable_usage()->set_prompt_tokens(2);
  finished.mutable_usage()->set_completion_tokens(3);
  finished.mutable_usage()->set_cached_tokens(1);
  finished.mutable_usage()->set_denoising_steps(4);
  finished.mutable_usage()->set_forward_passes(5);
  return response;
}

// A call with prompts of two tokens.
inline ApiCall CallOf(bool chat, bool stream = false, size_t prompts = 1) {
  ApiCall call;
  call.model = "tiny";
  call.chat = chat;
  call.stream = stream;
  call.prompts.assign(prompts, {static_cast<TokenId>(IdOf("A")), static_cast<TokenId>(IdOf("B"))});
  return call;
}

// The data of server-sent events, in order; "[DONE]" stands for itself.
inline std::vector<Json> EventsOf(const std::string& text) {
  std::vector<Json> events;
  const std::string data_mark = "data: ";
  for (size_t at = text.find(data_mark); at != std::string::npos; at = text.find(data_mark, at)) {
    at += data_mark.size();
    const std::string data = text.substr(at, text.find('\n', at) - at);
    events.push_back(data == "[DONE]" ? Json(data) : *ParseJson(data, "event"));
  }
  return events;
}

}  // namespace sdar
