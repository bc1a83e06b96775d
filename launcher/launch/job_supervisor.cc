// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/job_supervisor.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <unistd.h>

#include "common/log.h"
#include "common/steady_time.h"
#include "launcher/launch/mpirun_line.h"
#include "launcher/launch/output_relay.h"
#include "launcher/launch/peers.h"

namespace sdar {
namespace {

constexpr absl::Duration kFirstDelay = absl::Seconds(1);
constexpr absl::Duration kLongestDelay = absl::Seconds(60);
// A run that lasted so long was a healthy one: the next delay is the first again.
constexpr absl::Duration kHealthyRun = absl::Seconds(60);
// mpirun takes two seconds to end after SIGTERM; more when another machine does not answer.
constexpr absl::Duration kTerminateTimeout = absl::Seconds(10);
// What the programs and mpirun say about bad input and missing files.
constexpr int kUsageError = 2;
// The order to drain is repeated after so long, then after twice as long, and so on.
constexpr absl::Duration kFirstReminder = absl::Milliseconds(250);
constexpr absl::Duration kLongestReminder = absl::Seconds(5);

// As the first process of a container this is the only job there: what an earlier run has left in
// shared memory is nobody's, and would fill it in time.
void RemoveStaleSharedMemory() {
  if (getpid() != 1) return;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm", error)) {
    const std::string name = entry.path().filename().string();
    if (absl::StartsWith(name, "nccl-") || absl::StartsWith(name, "vader_segment.")) {
      std::filesystem::remove(entry.path(), error);
    }
  }
}

std::string InMiB(std::optional<int64_t> bytes) {
  return bytes ? absl::StrCat(*bytes >> 20, " MiB") : "unknown";
}

// A process that is killed for want of memory cannot say so itself.
void SayIfMemoryRanOut(const ControlGroup& group, int64_t killed_before) {
  const int64_t killed = group.OomKills() - killed_before;
  if (killed <= 0) return;
  spdlog::error(
      "the kernel has killed {} process(es) of this control group, whose memory has run out: limit "
      "{}, most in use {}",
      killed, InMiB(group.MemoryLimit()), InMiB(group.PeakMemory()));
}

}  // namespace

void PauseBeforeFailure(const LaunchOptions& options, const SignalQueue& signals) {
  if (options.failure_pause_s <= 0) return;
  const absl::Duration pause = absl::Seconds(options.failure_pause_s);
  spdlog::info("ending in {}, so that this log can be read", absl::FormatDuration(pause));
  signals.Pause(pause);
}

JobSupervisor::JobSupervisor(const LaunchOptions& options, std::vector<Host> hosts,
                             std::vector<std::string> line, std::string library,
                             const SignalQueue& signals)
    : options_(options),
      hosts_(std::move(hosts)),
      line_(std::move(line)),
      library_(std::move(library)),
      signals_(signals) {}

int JobSupervisor::Run() {
  const int exit_code = RunUntilTheEnd();
  if (exit_code == 0 || stopping_) return exit_code;
  PauseBeforeFailure(options_, signals_);
  return exit_code;
}

int JobSupervisor::RunUntilTheEnd() {
  absl::Duration delay = kFirstDelay;
  while (true) {
    int exit_code = 0;
    if (!AwaitMachines(exit_code)) return exit_code;
    RemoveStaleSharedMemory();
    const SteadyTime begin = SteadyTime::Now();
    const int64_t killed_before = group_.OomKills();
    exit_code = RunOnce();
    SayIfMemoryRanOut(group_, killed_before);
    if (stopping_ && !is_late_) exit_code = 0;
    if (!WorthAnotherTry(exit_code)) return exit_code;
    if (SteadyTime::Now() - begin > kHealthyRun) delay = kFirstDelay;
    ++restarts_;
    spdlog::warn(
        "the job ended with exit code {} after {}; start {} follows in {}", exit_code,
        absl::FormatDuration(absl::Trunc(SteadyTime::Now() - begin, absl::Milliseconds(100))),
        restarts_ + 1, absl::FormatDuration(delay));
    if (!Pause(delay)) return 0;
    delay = std::min(delay * 2, kLongestDelay);
  }
}

bool JobSupervisor::AwaitMachines(int& exit_code) {
  if (hosts_.empty() || options_.ssh_port == 0) return true;
  const absl::Duration timeout = options_.peer_timeout_s == 0
                                     ? absl::InfiniteDuration()
                                     : absl::Seconds(options_.peer_timeout_s);
  const absl::Status status = AwaitPeers(hosts_, options_.ssh_port, timeout,
                                         [this](absl::Duration wait) { return Pause(wait); });
  if (status.ok()) return true;
  if (!stopping_) spdlog::error("{}", std::string(status.message()));
  exit_code = stopping_ ? 0 : 1;
  return false;
}

bool JobSupervisor::WorthAnotherTry(int exit_code) const {
  if (stopping_ || exit_code == 0) return false;
  // mpirun's own lines stand between the reason and the end of the log, where people look.
  if (exit_code == kUsageError && !last_words_.empty()) {
    spdlog::error("the job cannot run: {}", last_words_);
  }
  if (options_.restart == "never" || exit_code == kUsageError) return false;
  if (options_.max_restarts == 0 || restarts_ < options_.max_restarts) return true;
  spdlog::error("the job ended with exit code {}; it has been started again {} times", exit_code,
                restarts_);
  return false;
}

int JobSupervisor::RunOnce() {
  last_words_.clear();
  const auto relay = OutputRelay::Start(std::filesystem::path(options_.command[0]).filename());
  if (!relay.ok()) return ExitCode("sdar-launch", relay.status());
  const absl::StatusOr<ChildProcess> job = ChildProcess::Start(line_, (*relay)->writer(), library_);
  (*relay)->CloseWriter();
  if (!job.ok()) return ExitCode("sdar-launch", job.status());
  spdlog::info("started: {}", ShellQuoted(line_));
  while (true) {
    const std::optional<int> signal = signals_.Next(std::min(next_pressure_, next_reminder_));
    if (!signal.has_value()) {
      PressOn(*job);
    } else if (*signal != SIGCHLD) {
      Stop(*job, *signal);
    } else if (const std::optional<int> exit_code = job->Reap()) {
      last_words_ = (*relay)->Finish();
      return *exit_code;
    }
  }
}

void JobSupervisor::Stop(const ChildProcess& job, int signal) {
  stopping_ = true;
  if (signal == SIGINT || pressure_ != Pressure::kNone) {
    spdlog::info("signal {}: ending the job", signal);
    pressure_ = std::max(pressure_, Pressure::kDraining);
    return Escalate(job);
  }
  spdlog::info("signal {}: the job may drain for {}", signal,
               absl::FormatDuration(absl::Seconds(options_.stop_timeout_s)));
  pressure_ = Pressure::kDraining;
  next_pressure_ = SteadyTime::Now() + absl::Seconds(options_.stop_timeout_s);
  reminder_interval_ = kFirstReminder;
  next_reminder_ = SteadyTime::Now() + reminder_interval_;
  job.Signal(SIGUSR1);
}

// The next thing to do has come due: a reminder, or more pressure.
void JobSupervisor::PressOn(const ChildProcess& job) {
  if (next_pressure_ <= SteadyTime::Now()) {
    is_late_ = true;
    return Escalate(job);
  }
  reminder_interval_ = std::min(reminder_interval_ * 2, kLongestReminder);
  next_reminder_ = SteadyTime::Now() + reminder_interval_;
  job.Signal(SIGUSR1);
}

void JobSupervisor::Escalate(const ChildProcess& job) {
  next_reminder_ = SteadyTime::InfiniteFuture();
  if (pressure_ == Pressure::kDraining) {
    pressure_ = Pressure::kTerminated;
    next_pressure_ = SteadyTime::Now() + kTerminateTimeout;
    return job.Signal(SIGTERM);
  }
  spdlog::warn("mpirun has not ended after SIGTERM: killing it");
  pressure_ = Pressure::kKilled;
  next_pressure_ = SteadyTime::InfiniteFuture();
  job.KillGroup();
}

bool JobSupervisor::Pause(absl::Duration duration) {
  if (signals_.Pause(duration)) return true;
  stopping_ = true;
  return false;
}

}  // namespace sdar
