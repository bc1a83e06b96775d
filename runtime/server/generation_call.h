// SPDX-License-Identifier: Apache-2.0
// A call of the service, whatever transport it came over.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "common/ids.h"
#include "common/steady_time.h"
#include "runtime/request/request_fields.h"
#include "runtime/request/score_fields.h"
#include "runtime/server/traces/span.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

struct GenerationCall {
  std::string request_id;  // empty: one is made
  // An open call may have the same id: a suffix then tells this one from it.
  bool may_extend_request_id = false;
  // A part of a body whose first call was let in: a server that drains lets it in too.
  bool continues = false;
  TraceParent trace;  // what it is a part of
  std::vector<TokenId> prompt;
  RequestFields fields;
  // A call that scores has these instead of the fields. `scores` is where its answer is put
  // together; null: the call generates.
  std::shared_ptr<sdar::v1::ScoreResponse> scores;
  std::vector<TokenId> targets;
  ScoreFields score_fields;
  bool provisional = false;  // also the block's state after every denoising step
  SteadyTime deadline = SteadyTime::InfiniteFuture();
  SteadyTime arrival = SteadyTime::Now();
};

}  // namespace sdar
