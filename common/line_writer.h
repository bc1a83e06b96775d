// SPDX-License-Identifier: Apache-2.0
// Lines for a descriptor that nobody may be reading: who writes them never waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace sdar {

struct LineWriterOptions {
  // Bytes that may wait to be written.
  size_t max_bytes = size_t{4} << 20;
  // How long the destructor waits for a reader.
  absl::Duration close_timeout = absl::Seconds(1);
  // Makes the line, with its line end, that reports `num_lines` dropped lines. Empty: none does.
  // Called with an inner lock held: it must not write.
  std::function<std::string(uint64_t num_lines)> report;
};

// Queues lines, which a thread of its own writes to a descriptor. A line is dropped when the queue
// is full or when writing fails, as it does once a pipe has no reader. After a drop nothing is
// taken until half of the queue is free; then a report of the drop precedes the next line. Never
// raises SIGPIPE. Thread-safe.
class LineWriter {
 public:
  // `descriptor` stays the caller's. It should stay open for as long as the process runs, because a
  // write that never returns outlives this.
  LineWriter(int descriptor, LineWriterOptions options);
  // Waits at most `close_timeout` for what is queued. What is left then is not written.
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // Queues a text, with its line end. Does not block.
  void Write(absl::string_view line);

  // Waits until what was queued before is written or dropped, at most `timeout`. Returns whether
  // that is so.
  bool Flush(absl::Duration timeout);

  // Lines that were dropped since the start.
  uint64_t num_dropped() const;

 private:
  struct State;
  const std::shared_ptr<State> state_;  // shared with the thread
};

}  // namespace sdar
