// SPDX-License-Identifier: Apache-2.0
// What one sample says, as it comes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/json.h"
#include "runtime/server/api/api_call.h"
#include "runtime/server/api/output_splitter.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

// Thread-hostile.
class SampleReader {
 public:
  explicit SampleReader(const ApiCall& call);

  // What a delta, or the end, adds to the sample's text.
  OutputPiece Take(const sdar::v1::GenerateResponse& response);

  bool finished() const { return finished_; }
  // It stopped by itself; else its tokens had run out. Requires: it has finished.
  bool stopped() const { return stopped_; }
  int64_t num_tool_calls() const { return num_tool_calls_; }
  // The stop string of the request that ended it.
  const std::optional<std::string>& stop_string() const { return stop_string_; }
  // As OpenAI's API has them; null before the end.
  Json finish_reason() const;
  const Json& stop_reason() const { return stop_reason_; }

 private:
  void Finish(const sdar::v1::Finished& finished);

  const bool chat_;
  const bool one_call_;  // the end of a tool call was made a stop string
  OutputSplitter splitter_;
  int64_t num_tool_calls_ = 0;
  bool finished_ = false;
  bool stopped_ = false;
  std::optional<std::string> stop_string_;
  Json stop_reason_;
};

}  // namespace sdar
