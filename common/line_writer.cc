// SPDX-License-Identifier: Apache-2.0
#include "common/line_writer.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <deque>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include <poll.h>
#include <unistd.h>

#include "common/steady_condition.h"

namespace sdar {
namespace {

// Signals are for the program's own threads. SIGPIPE goes to the thread that writes, so that
// blocking it here keeps it from everybody.
void BlockSignals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

// Waits until a write of at most PIPE_BUF bytes need not wait. A pipe without a reader counts.
void AwaitRoom(int descriptor) {
  pollfd waiting = {descriptor, POLLOUT, 0};
  while (poll(&waiting, 1, -1) < 0 && errno == EINTR) {
  }
}

// Writes all of a text. False when it cannot be written, or is no longer to be.
bool WriteAll(int descriptor, absl::string_view text, const std::atomic<bool>& abandoned) {
  while (!text.empty()) {
    AwaitRoom(descriptor);
    if (abandoned) return false;
    const ssize_t written =
        write(descriptor, text.data(), std::min<size_t>(text.size(), size_t{PIPE_BUF}));
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      poll(nullptr, 0, 10);  // somebody else took the room
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace

struct LineWriter::State {
  struct QueuedLine {
    std::string text;
    uint64_t num_reported =
        0;  // above 0: this reports that many dropped lines, and is no line of the program
  };
  // What a line costs of the queue. An empty line is not free.
  static size_t CostOf(const QueuedLine& line) { return line.text.size() + sizeof(QueuedLine); }

  State(int to, LineWriterOptions with) : descriptor(to), options(std::move(with)) {}

  void Enqueue(QueuedLine line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    queued_bytes += CostOf(line);
    queue.push_back(std::move(line));
    ++num_queued;
    changed.NotifyAll();
  }

  // Queues the report of what was dropped, if there is something to report.
  void EnqueueReport() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (num_unreported == 0 || !options.report) return;
    const uint64_t num_lines = std::exchange(num_unreported, 0);
    Enqueue({options.report(num_lines), num_lines});
  }

  bool HasRoomFor(const QueuedLine& line) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return queued_bytes + CostOf(line) <= (overflowed ? options.max_bytes / 2 : options.max_bytes);
  }

  // The next line; none once this closes.
  std::optional<QueuedLine> Take();
  void Settle(const QueuedLine& line, bool written);
  void Run();

  const int descriptor;
  const LineWriterOptions options;
  mutable absl::Mutex mutex;
  SteadyCondition changed;
  std::deque<QueuedLine> queue ABSL_GUARDED_BY(mutex);
  size_t queued_bytes ABSL_GUARDED_BY(mutex) = 0;
  uint64_t num_queued ABSL_GUARDED_BY(mutex) = 0;   // since the start
  uint64_t num_settled ABSL_GUARDED_BY(mutex) = 0;  // of these, written or lost
  uint64_t num_dropped ABSL_GUARDED_BY(mutex) = 0;
  uint64_t num_unreported ABSL_GUARDED_BY(mutex) = 0;
  bool overflowed ABSL_GUARDED_BY(mutex) = false;  // and not half empty since
  bool closing ABSL_GUARDED_BY(mutex) = false;
  // With `closing`: the descriptor may be closed, and its number somebody else's.
  std::atomic<bool> abandoned{false};
};

std::optional<LineWriter::State::QueuedLine> LineWriter::State::Take() {
  absl::MutexLock lock(&mutex);
  changed.AwaitUntil(mutex, SteadyTime::InfiniteFuture(),
                     [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return closing || !queue.empty(); });
  if (closing) return std::nullopt;
  QueuedLine line = std::move(queue.front());
  queue.pop_front();
  queued_bytes -= CostOf(line);
  return line;
}

void LineWriter::State::Settle(const QueuedLine& line, bool written) {
  absl::MutexLock lock(&mutex);
  ++num_settled;
  if (!written) {
    const bool is_report = line.num_reported > 0;
    num_unreported += is_report ? line.num_reported : 1;
    num_dropped += is_report ? 0 : 1;
  } else if (queue.empty()) {
    overflowed = false;
    EnqueueReport();
  }
  changed.NotifyAll();
}

void LineWriter::State::Run() {
  BlockSignals();
  while (const auto line = Take()) {
    Settle(*line, WriteAll(descriptor, line->text, abandoned));
  }
}

LineWriter::LineWriter(int descriptor, LineWriterOptions options)
    : state_(std::make_shared<State>(descriptor, std::move(options))) {
  // Detached, because a write may never return: polling says that there is room, and another
  // process takes it.
  std::thread([state = state_] { state->Run(); }).detach();
}

LineWriter::~LineWriter() {
  Flush(state_->options.close_timeout);
  absl::MutexLock lock(&state_->mutex);
  state_->closing = true;
  state_->abandoned = true;
  state_->changed.NotifyAll();
}

void LineWriter::Write(absl::string_view line) {
  State::QueuedLine queued{std::string(line)};
  absl::MutexLock lock(&state_->mutex);
  if (!state_->HasRoomFor(queued)) {
    state_->overflowed = true;
    ++state_->num_dropped;
    ++state_->num_unreported;
    return;
  }
  state_->overflowed = false;
  state_->EnqueueReport();
  state_->Enqueue(std::move(queued));
}

bool LineWriter::Flush(absl::Duration timeout) {
  const SteadyTime deadline = SteadyTime::Now() + timeout;
  absl::MutexLock lock(&state_->mutex);
  const uint64_t target = state_->num_queued;
  return state_->changed.AwaitUntil(
      state_->mutex, deadline,
      [this, target]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return state_->num_settled >= target; });
}

uint64_t LineWriter::num_dropped() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->num_dropped;
}

}  // namespace sdar
