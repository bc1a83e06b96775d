// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/output_relay.h"

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"

namespace sdar {
namespace {

// Longer lines are logged in parts. The programs' own lines are shorter.
constexpr size_t kMaxLineBytes = size_t{256} << 10;
constexpr size_t kBufferBytes = size_t{64} << 10;
// At the end, so that a process that is left over and keeps printing holds nothing up. More than a
// pipe holds.
constexpr size_t kMaxLastBytes = size_t{4} << 20;

void LogLine(absl::string_view line) {
  line = absl::StripTrailingAsciiWhitespace(line);
  if (line.empty()) return;
  spdlog::logger& logger = *spdlog::default_logger();
  if (IsLogLine(line)) return LogFinishedLine(logger, line);
  logger.warn("{}", spdlog::string_view_t(line.data(), line.size()));
}

// Reads once. False when there is nothing, or never again.
bool ReadSome(int reader, OutputLines& lines, size_t& num_bytes) {
  char buffer[kBufferBytes];
  ssize_t size = -1;
  do {
    size = read(reader, buffer, sizeof buffer);
  } while (size < 0 && errno == EINTR);
  if (size <= 0) return false;
  num_bytes += static_cast<size_t>(size);
  lines.Add(absl::string_view(buffer, static_cast<size_t>(size)));
  return true;
}

// Waits for output; false once the job has ended.
bool AwaitOutput(int reader, int stop) {
  pollfd waiting[] = {{reader, POLLIN, 0}, {stop, POLLIN, 0}};
  while (poll(waiting, 2, -1) < 0 && errno == EINTR) {
  }
  return waiting[1].revents == 0;
}

}  // namespace

void OutputLines::Add(absl::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const size_t room = kMaxLineBytes - line_.size();
    if (end == absl::string_view::npos && bytes.size() < room) {
      absl::StrAppend(&line_, bytes);
      return;
    }
    const bool is_whole = end <= room;
    const absl::string_view part = bytes.substr(0, is_whole ? end : room);
    absl::StrAppend(&line_, part);
    End();
    bytes.remove_prefix(part.size() + (is_whole ? 1 : 0));
  }
}

void OutputLines::End() {
  LogLine(line_);
  if (absl::StartsWith(line_, prefix_)) last_words_ = line_.substr(prefix_.size());
  line_.clear();
}

absl::StatusOr<std::unique_ptr<OutputRelay>> OutputRelay::Start(const std::string& program) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return absl::InternalError(absl::StrCat("pipe: ", std::strerror(errno)));
  }
  const int stop = eventfd(0, EFD_CLOEXEC);
  std::unique_ptr<OutputRelay> relay(new OutputRelay(ends[0], ends[1], stop, program));
  if (stop < 0) return absl::InternalError(absl::StrCat("eventfd: ", std::strerror(errno)));
  try {
    relay->thread_ = std::thread([relay = relay.get()] { relay->Relay(); });
  } catch (const std::system_error& error) {
    return absl::InternalError(absl::StrCat("no thread for the job's output: ", error.what()));
  }
  return relay;
}

OutputRelay::~OutputRelay() {
  Finish();
  close(reader_);
  if (stop_ >= 0) close(stop_);
}

const std::string& OutputRelay::Finish() {
  CloseWriter();
  const uint64_t one = 1;
  if (thread_.joinable()) {
    while (write(stop_, &one, sizeof one) < 0 && errno == EINTR) {
    }
    thread_.join();
  }
  return lines_.last_words();
}

void OutputRelay::CloseWriter() {
  if (writer_ >= 0) close(writer_);
  writer_ = -1;
}

void OutputRelay::Relay() {
  // Signals are the main thread's to take.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  size_t num_bytes = 0;
  while (AwaitOutput(reader_, stop_)) {
    if (!ReadSome(reader_, lines_, num_bytes)) break;
  }
  fcntl(reader_, F_SETFL, O_NONBLOCK);
  num_bytes = 0;
  while (num_bytes < kMaxLastBytes && ReadSome(reader_, lines_, num_bytes)) {
  }
  lines_.End();
}

}  // namespace sdar
