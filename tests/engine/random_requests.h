// SPDX-License-Identifier: Apache-2.0
// Requests of every sort that sdar-tiny can answer, and what of an answer may not depend on how it
// was computed.
#pragma once

#include <random>
#include <vector>

#include "tests/engine/golden_runs.h"
#include "tests/engine/local_job.h"

namespace sdar {

struct Asked {
  RequestFields fields;
  std::vector<TokenId> prompt;
};

// Prompts share stems of one or two pages; lengths, blocks, strategies and sampling vary.
inline Asked RandomAsked(std::mt19937& random) {
  const auto below = [&](unsigned n) { return static_cast<int64_t>(random() % n); };
  Asked asked;
  const int64_t stem = below(4) * 20;
  for (int64_t i = 0; i < stem; ++i) asked.prompt.push_back(static_cast<TokenId>(262 + i));
  for (int64_t i = 0, n = 1 + below(24); i < n; ++i) {
    asked.prompt.push_back(static_cast<TokenId>(below(900)));
  }
  RequestFields& fields = asked.fields;
  fields.seed = random();
  fields.max_tokens = 1 + below(96);
  fields.ignore_eos = below(4) != 0;
  fields.block_length = below(2) == 0 ? 4 : 8;
  fields.denoising_steps = 1 + below(4);
  fields.remasking_strategy = static_cast<RemaskingStrategy>(below(4));
  fields.temperature = below(2) == 0 ? 0.0 : 1.2;
  if (below(3) == 0) fields.top_k = 20;
  if (below(4) == 0) fields.top_p = 0.9;
  if (below(6) == 0) fields.min_p = 0.05;
  if (below(4) == 0) {
    fields.repetition_penalty = 1.2;
    fields.presence_penalty = 0.3;
    fields.frequency_penalty = 0.2;
  }
  if (below(6) == 0) fields.logit_bias = {{static_cast<TokenId>(below(900)), 3.0f}};
  if (below(4) == 0) fields.stop = {"e", "the "};
  if (below(6) == 0) fields.min_tokens = below(static_cast<unsigned>(*fields.max_tokens));
  if (below(8) == 0) fields.n = 2;
  if (below(8) == 0) fields.priority = below(3);
  return asked;
}

inline std::vector<Asked> RandomAsked(int count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<Asked> asked;
  for (int i = 0; i < count; ++i) asked.push_back(RandomAsked(random));
  return asked;
}

// Everything an answer says that may not depend on its company or on how it was computed.
inline Json Answer(Collector& out, int key) {
  const Json result = out.Result(key);
  return {{"tokens", result["token_ids"]}, {"logprobs", result["logprobs"]},
          {"text", result["text"]},        {"reason", result["finish_reason"]},
          {"trace", result["trace"]},      {"steps", result["usage"]["denoising_steps"]}};
}

}  // namespace sdar
