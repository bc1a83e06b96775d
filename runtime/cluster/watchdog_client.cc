// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/steady_time.h"
#include "runtime/cluster/watchdog.h"

namespace sdar {

WatchdogClient::WatchdogClient(const WatchdogOptions& options, int rank, const std::string& address,
                               Doorbell& doorbell, std::function<StepProgress()> progress,
                               std::function<void(const absl::Status&)> on_lost)
    : options_(options),
      rank_(rank),
      doorbell_(doorbell),
      progress_(std::move(progress)),
      on_lost_(std::move(on_lost)),
      last_heard_ns_(SteadyTime::Now().ToNanos()),
      stub_(sdar::v1::WatchdogService::NewStub(
          grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {
  context_.set_wait_for_ready(true);
  stream_ = stub_->Watch(&context_);
  reader_ = std::thread([this] { ReadLoop(); });
  beater_ = std::thread([this] { BeatLoop(); });
}

WatchdogClient::~WatchdogClient() {
  leaving_.store(true);
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    news_.NotifyAll();
  }
  context_.TryCancel();
  reader_.join();
  beater_.join();
  stream_->Finish();
}

void WatchdogClient::ReadLoop() {
  sdar::v1::WatchdogEvent event;
  while (stream_->Read(&event)) {
    last_heard_ns_.store(SteadyTime::Now().ToNanos());
    doorbell_.RingTo(event.doorbell());
  }
  Lose(absl::UnavailableError("rank 0 is gone"));
}

void WatchdogClient::Ring(uint64_t count) {
  absl::MutexLock lock(&mutex_);
  rings_ = std::max(rings_, count);
  news_.NotifyAll();
}

void WatchdogClient::BeatLoop() {
  while (true) {
    const StepProgress progress = progress_();
    if (!progress.collectives.ok()) return Lose(progress.collectives);
    sdar::v1::Heartbeat beat;
    beat.set_rank(static_cast<uint32_t>(rank_));
    beat.set_finished_steps(progress.finished_steps);
    beat.set_step_age_nanos(absl::ToInt64Nanoseconds(progress.step_age));
    {
      absl::MutexLock lock(&mutex_);
      rings_sent_ = rings_;
      beat.set_doorbell(rings_);
    }
    if (!stream_->Write(beat)) return;  // the reader notices too
    {
      absl::MutexLock lock(&mutex_);
      news_.AwaitUntil(mutex_, SteadyTime::Now() + options_.beat_interval,
                       [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return HasNews(); });
      if (closing_) return;
    }
    const absl::Duration silence = SteadyTime::Now() - SteadyTime::FromNanos(last_heard_ns_.load());
    if (silence > options_.max_silence) {
      return Lose(absl::UnavailableError(
          absl::StrCat("rank 0 has been silent for ", absl::FormatDuration(silence))));
    }
  }
}

void WatchdogClient::Lose(const absl::Status& status) {
  if (!leaving_.load() && !lost_.exchange(true)) on_lost_(status);
}

}  // namespace sdar
