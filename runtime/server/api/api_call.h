// SPDX-License-Identifier: Apache-2.0
// What a body of any of the HTTP APIs asks for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/json.h"
#include "runtime/server/api/output_splitter.h"
#include "runtime/server/generation_call.h"

namespace sdar {

// Names of fields that nobody knows, each shortened.
using UnknownFields = std::vector<std::string>;

struct ApiCall {
  GenerationCall call;                        // of every prompt, but for the prompt itself
  std::vector<std::vector<TokenId>> prompts;  // at least one; a chat has one
  std::string model;                          // the name that the answer bears
  bool chat = false;
  bool stream = false;
  bool include_usage = false;         // a last chunk with the usage
  bool continuous_usage = false;      // and the usage so far in every chunk
  OutputSplitter::Options splitting;  // chats only
  bool one_tool_call = false;         // the end of the first ends the answer
  bool generates = true;              // false: max_tokens is 0, and the prompts are scored alone
  bool echo = false;                  // the text begins with the prompt
  bool return_token_ids = false;
  std::optional<int64_t> prompt_logprobs;  // alternatives to report with every token of the prompt
  Json repeated = Json::object();          // fields that the answer repeats: responses only
  UnknownFields unknown_fields;

  size_t samples_per_prompt() const { return static_cast<size_t>(call.fields.n.value_or(1)); }
  // Whether the tokens of the prompts are to be scored.
  bool scores_prompts() const {
    return !generates || prompt_logprobs || (echo && call.fields.logprobs);
  }
};

}  // namespace sdar
