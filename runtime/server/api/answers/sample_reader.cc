// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/answers/sample_reader.h"

namespace sdar {

SampleReader::SampleReader(const ApiCall& call)
    : chat_(call.chat), one_call_(call.one_tool_call), splitter_(call.splitting) {}

OutputPiece SampleReader::Take(const sdar::v1::GenerateResponse& response) {
  OutputPiece piece;
  if (response.has_delta()) {
    const std::string& text = response.delta().text();
    if (chat_) {
      piece = splitter_.Push(text);
    } else {
      piece.content = text;
    }
  } else if (response.has_finished()) {
    if (chat_) piece = splitter_.Flush();
    Finish(response.finished());
  }
  for (const ToolCall& call : piece.tool_calls) num_tool_calls_ += call.name.empty() ? 0 : 1;
  return piece;
}

void SampleReader::Finish(const sdar::v1::Finished& finished) {
  using sdar::v1::Finished;
  finished_ = true;
  stopped_ = finished.reason() == Finished::STOP;
  if (finished.stop_reason_case() == Finished::kStopTokenId) {
    stop_reason_ = finished.stop_token_id();
  } else if (finished.stop_reason_case() == Finished::kStopString) {
    if (one_call_ && finished.stop_string() == kToolCallEnd) return;
    stop_string_ = finished.stop_string();
    stop_reason_ = finished.stop_string();
  }
}

Json SampleReader::finish_reason() const {
  if (!finished_) return nullptr;
  if (!stopped_) return "length";
  return num_tool_calls_ > 0 ? "tool_calls" : "stop";
}

}  // namespace sdar
