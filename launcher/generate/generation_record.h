// SPDX-License-Identifier: Apache-2.0
// One sample of sdar-generate's output, collected from a sequence's updates.
#pragma once

#include <string>
#include <vector>

#include "common/json.h"
#include "runtime/request/generation_request.h"

namespace sdar {

// One thread at a time.
class GenerationRecord {
 public:
  void Add(SequenceUpdate update);

  bool done() const { return end_.has_value(); }
  // Requires: done().
  const SequenceEnd& end() const { return *end_; }
  int64_t num_tokens() const { return static_cast<int64_t>(tokens_.size()); }

  // {"id", "text", "token_ids", "finish_reason", "stop_reason", "usage"}, with what was asked for
  // beside it. Requires: done() with an OK status.
  Json ToJson(const Json& id, bool with_logprobs, bool with_trace) const;

 private:
  std::string text_;
  std::vector<RevealedToken> tokens_;
  std::vector<TraceStep> trace_;
  std::optional<SequenceEnd> end_;
};

}  // namespace sdar
