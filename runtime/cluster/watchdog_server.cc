// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "common/status_macros.h"
#include "common/steady_time.h"
#include "runtime/cluster/watchdog.h"

namespace sdar {

using sdar::v1::Heartbeat;
using sdar::v1::WatchdogEvent;

// One rank's stream. Its fields are guarded by the server's mutex; deletes itself when the call is
// done.
class WatchdogServer::RankStream : public grpc::ServerBidiReactor<Heartbeat, WatchdogEvent> {
 public:
  explicit RankStream(WatchdogServer& server) : server_(server) { StartRead(&beat_); }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status::OK);
      return;
    }
    server_.Heard(this, beat_);
    StartRead(&beat_);
  }

  void OnWriteDone(bool) override {
    absl::MutexLock lock(&server_.mutex_);
    writing_ = false;
    if (event_.doorbell() < rings()) Send();
  }

  void OnDone() override {
    server_.Gone(this);
    delete this;
  }

  // Sends the number of rings, unless a write is on its way: OnWriteDone then looks again.
  void Send() {
    if (writing_) return;
    writing_ = true;
    event_.set_doorbell(rings());
    StartWrite(&event_);
  }

  int rank = -1;  // known from the first beat

 private:
  uint64_t rings() const { return rank < 0 ? 0 : server_.rings_[server_.GroupOf(rank)]; }

  WatchdogServer& server_;
  Heartbeat beat_;
  WatchdogEvent event_;
  bool writing_ = false;
};

class WatchdogServer::Service : public sdar::v1::WatchdogService::CallbackService {
 public:
  explicit Service(WatchdogServer& server) : server_(server) {}
  grpc::ServerBidiReactor<Heartbeat, WatchdogEvent>* Watch(grpc::CallbackServerContext*) override {
    return new RankStream(server_);
  }

 private:
  WatchdogServer& server_;
};

WatchdogServer::WatchdogServer(const WatchdogOptions& options, int num_ranks, int ranks_per_group,
                               std::function<StepProgress()> progress,
                               std::function<void(const absl::Status&)> on_failure)
    : options_(options),
      num_ranks_(num_ranks),
      ranks_per_group_(ranks_per_group),
      progress_(std::move(progress)),
      on_failure_(std::move(on_failure)),
      service_(std::make_unique<Service>(*this)),
      streams_(static_cast<size_t>(num_ranks), nullptr),
      health_(static_cast<size_t>(num_ranks)),
      rings_(GroupOf(num_ranks - 1) + 1, 0) {}

WatchdogServer::~WatchdogServer() {
  {
    absl::MutexLock lock(&mutex_);
    leaving_ = true;
    changed_.NotifyAll();
  }
  if (monitor_.joinable()) monitor_.join();
  if (server_ != nullptr) {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();  // no stream is left that could use the members below
  }
}

absl::StatusOr<std::string> WatchdogServer::Start(const std::string& host, grpc::Service* other) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(absl::StrCat(host, ":0"), grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(service_.get());
  if (other != nullptr) builder.RegisterService(other);
  builder.SetMaxReceiveMessageSize(-1);  // both ends are ours
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port == 0) {
    return absl::UnavailableError(absl::StrCat("the watchdog cannot listen on ", host));
  }
  return absl::StrCat(host, ":", port);
}

absl::Status WatchdogServer::AwaitRanks(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto all_here = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::count(streams_.begin() + 1, streams_.end(), nullptr) == 0;
  };
  if (!changed_.AwaitUntil(mutex_, SteadyTime::Now() + timeout, all_here)) {
    std::vector<int> missing;
    for (int r = 1; r < num_ranks_; ++r) {
      if (streams_[static_cast<size_t>(r)] == nullptr) missing.push_back(r);
    }
    return absl::DeadlineExceededError(absl::StrCat("ranks that have not reached rank 0 in ",
                                                    absl::FormatDuration(timeout), ": ",
                                                    absl::StrJoin(missing, ", ")));
  }
  watching_ = true;
  monitor_ = std::thread([this] { MonitorLoop(); });
  return absl::OkStatus();
}

void WatchdogServer::StopWatching() {
  absl::MutexLock lock(&mutex_);
  leaving_ = true;
  changed_.NotifyAll();
}

void WatchdogServer::Ring(uint64_t count) {
  absl::MutexLock lock(&mutex_);
  RingGroup(0, count);
}

void WatchdogServer::RingGroup(size_t group, uint64_t count) {
  if (count <= rings_[group]) return;
  rings_[group] = count;
  for (RankStream* stream : streams_) {
    if (stream != nullptr && GroupOf(stream->rank) == group) stream->Send();
  }
}

void WatchdogServer::SendToAll() {
  for (RankStream* stream : streams_) {
    if (stream != nullptr) stream->Send();
  }
}

std::vector<RankHealth> WatchdogServer::Health() const {
  absl::MutexLock lock(&mutex_);
  std::vector<RankHealth> health = health_;
  const StepProgress mine = progress_();
  health[0] = {mine.finished_steps, SteadyTime::Now(), mine.step_age};
  return health;
}

void WatchdogServer::Heard(RankStream* stream, const Heartbeat& beat) {
  absl::MutexLock lock(&mutex_);
  if (beat.rank() == 0 || beat.rank() >= static_cast<uint32_t>(num_ranks_)) return;
  stream->rank = static_cast<int>(beat.rank());
  if (std::exchange(streams_[beat.rank()], stream) != stream) changed_.NotifyAll();
  health_[beat.rank()] = {beat.finished_steps(), SteadyTime::Now(),
                          absl::Nanoseconds(beat.step_age_nanos())};
  RingGroup(GroupOf(stream->rank), beat.doorbell());
}

void WatchdogServer::Gone(RankStream* stream) {
  absl::MutexLock lock(&mutex_);
  if (stream->rank < 0 || streams_[static_cast<size_t>(stream->rank)] != stream) return;
  streams_[static_cast<size_t>(stream->rank)] = nullptr;
  if (!watching_ || lost_rank_ >= 0) return;
  lost_rank_ = stream->rank;
  changed_.NotifyAll();
}

absl::Status WatchdogServer::FindFailure() const {
  if (lost_rank_ >= 0) return absl::UnavailableError(absl::StrCat("rank ", lost_rank_, " is gone"));
  const StepProgress mine = progress_();
  SDAR_RETURN_IF_ERROR(mine.collectives);
  const SteadyTime now = SteadyTime::Now();
  for (int r = 0; r < num_ranks_; ++r) {
    const RankHealth& health = health_[static_cast<size_t>(r)];
    const absl::Duration silence = r == 0 ? absl::ZeroDuration() : now - health.last_heard;
    if (silence > options_.max_silence) {
      return absl::UnavailableError(
          absl::StrCat("rank ", r, " has been silent for ", absl::FormatDuration(silence)));
    }
    const absl::Duration age = r == 0 ? mine.step_age : health.step_age;
    if (age > options_.step_timeout) {
      return absl::AbortedError(
          absl::StrCat("a step of rank ", r, " has been running for ", absl::FormatDuration(age)));
    }
  }
  return absl::OkStatus();
}

void WatchdogServer::MonitorLoop() {
  SteadyTime next_beat = SteadyTime::Now();
  while (true) {
    absl::Status failure;
    {
      absl::MutexLock lock(&mutex_);
      const auto urgent = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return leaving_ || lost_rank_ >= 0;
      };
      changed_.AwaitUntil(mutex_, next_beat, urgent);
      if (leaving_) return;
      next_beat = SteadyTime::Now() + options_.beat_interval;
      failure = FindFailure();
      SendToAll();
    }
    if (!failure.ok()) return on_failure_(failure);
  }
}

}  // namespace sdar
