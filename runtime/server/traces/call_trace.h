// SPDX-License-Identifier: Apache-2.0
// What one call did when.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "common/steady_time.h"
#include "runtime/request/generation_request.h"
#include "runtime/server/traces/span.h"

namespace sdar {

// Thread-hostile.
//
//     generate |-------------------------------------------------------|
//     queue    |----|                                                     arrival to first slot
//     prefill       |-----|                              to the end of the first denoising step
//     block 5             |---------|                      to the step that made it final
//     block 6                       |-----------|
//     delivery                                  |----------|              last tokens to the client
class CallTrace {
 public:
  struct Call {
    TraceParent parent;  // its trace goes on; without one a trace begins
    std::string request_id;
    std::string model;
    SteadyTime arrival;
    int64_t prompt_tokens = 0;
    int num_samples = 1;
    int64_t block_length = 1;
    bool scores = false;
  };
  explicit CallTrace(Call call);

  const std::string& trace_id() const { return trace_id_; }

  // News of sample `index`, on its way to the client.
  void Note(int index, const SequenceUpdate& update, SteadyTime now);
  // The client is told how the call ended.
  void End(const absl::Status& status) { status_ = status; }
  // The spans of a call that is over `now`, which is unix_now_ns as Unix time. Blocks beyond a few
  // hundred are counted, not told.
  std::vector<Span> Spans(SteadyTime now, int64_t unix_now_ns) const;

 private:
  struct Block {
    int sample = 0;
    int64_t number = 0;  // position / block_length
    int64_t tokens = 0;
    int64_t steps = 0;
    SteadyTime end;
  };
  struct Sample {
    int64_t tokens = 0;        // final so far
    int64_t block_tokens = 0;  // of these, in the block under way
    int64_t steps = 0;         // of that block
    SteadyTime last;           // when the last tokens came
    std::optional<SequenceUsage> usage;
  };

  void NoteBlock(int index, Sample& sample, SteadyTime now);
  Span Child(const char* name) const;
  void AddPhases(int index, std::vector<Span>& spans) const;
  Span Root() const;
  int64_t UnixNs(SteadyTime time) const;

  const Call call_;
  const std::string trace_id_;
  const std::string span_id_;
  std::vector<Sample> samples_;
  std::vector<Block> blocks_;
  int64_t dropped_blocks_ = 0;
  absl::Status status_;
};

// Random hexadecimal digits; never only zeros. Any thread.
std::string NewTraceId();  // 32
std::string NewSpanId();   // 16

}  // namespace sdar
