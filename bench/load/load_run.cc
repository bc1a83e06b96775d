// SPDX-License-Identifier: Apache-2.0
#include "bench/load/load_run.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr absl::Duration kShowInterval = absl::Milliseconds(200);
constexpr std::chrono::seconds kModelInfoTimeout(10);
constexpr int64_t kNever = -1;  // as a number of open calls

int64_t SteadyNanos() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

LoadRun::LoadRun(const LoadOptions& options) : options_(options) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  stub_ = sdar::v1::GenerationService::NewStub(
      grpc::CreateCustomChannel(options.server, grpc::InsecureChannelCredentials(), arguments));
}

absl::Duration LoadRun::Now() const { return absl::Nanoseconds(SteadyNanos() - start_ns_); }

absl::StatusOr<sdar::v1::GetModelInfoResponse> LoadRun::AskForModel() {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kModelInfoTimeout);
  sdar::v1::GetModelInfoResponse model;
  const grpc::Status status = stub_->GetModelInfo(&context, {}, &model);
  if (status.ok()) return model;
  return absl::UnavailableError(
      absl::StrCat("--server=", options_.server, ": ", status.error_message()));
}

absl::StatusOr<LoadResult> LoadRun::Run(absl::FunctionRef<void(const Progress&)> show) {
  SDAR_ASSIGN_OR_RETURN(const sdar::v1::GetModelInfoResponse model, AskForModel());
  SDAR_ASSIGN_OR_RETURN(LoadPlan plan, LoadPlan::Create(options_, model));
  start_ns_ = SteadyNanos();
  SendAll(plan, show);
  if (Await(0, absl::InfiniteDuration(), show) == Woken::kStopped) EndOpenCalls();
  absl::MutexLock lock(&mutex_);
  result_.model = model;
  result_.elapsed = Now();
  return std::move(result_);
}

void LoadRun::SendAll(LoadPlan& plan, absl::FunctionRef<void(const Progress&)> show) {
  const absl::Duration end = options_.duration_seconds > 0
                                 ? absl::Seconds(options_.duration_seconds)
                                 : absl::InfiniteDuration();
  while (options_.requests == 0 || sent_ < options_.requests) {
    PlannedCall call = plan.Next();
    if (options_.is_open_loop()) {
      // An arrival that is due is never held up by what came before it.
      if (call.arrival >= end || Await(kNever, call.arrival, show) != Woken::kTime) return;
    } else {
      if (Await(options_.clients - 1, end, show) != Woken::kRoom) return;
      call.arrival = Now();
    }
    Send(std::move(call));
  }
}

void LoadRun::Send(PlannedCall planned) {
  ++sent_;
  auto* call = new LoadCall(
      std::move(planned), absl::Seconds(options_.timeout_seconds), [this] { return Now(); },
      [this](LoadCall* ended, CallRecord record) { Done(ended, std::move(record)); });
  {
    absl::MutexLock lock(&mutex_);
    open_.insert(call);
    ++num_alive_;
  }
  call->Start(*stub_);
}

void LoadRun::Done(LoadCall* call, CallRecord record) {
  {
    absl::MutexLock lock(&mutex_);
    open_.erase(call);
    if (stopped_ && record.code != absl::StatusCode::kOk) {
      ++result_.unfinished;
    } else {
      result_.calls.push_back(std::move(record));
    }
  }
  // A call holds the channel, and gRPC's thread must not be the one to destroy that: Run waits
  // until the call is gone.
  delete call;
  absl::MutexLock lock(&mutex_);
  --num_alive_;
}

void LoadRun::EndOpenCalls() {
  absl::MutexLock lock(&mutex_);
  for (LoadCall* call : open_) call->Cancel();
  const auto all_gone = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return num_alive_ == 0; };
  mutex_.Await(absl::Condition(&all_gone));
}

LoadRun::Woken LoadRun::Await(int64_t max_open, absl::Duration until,
                              absl::FunctionRef<void(const Progress&)> show) {
  while (true) {
    Progress progress{Now(), sent_, 0};
    {
      absl::MutexLock lock(&mutex_);
      const auto woken = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopped_ || num_alive_ <= max_open;
      };
      const absl::Duration left = std::min(until - progress.elapsed, kShowInterval);
      mutex_.AwaitWithTimeout(absl::Condition(&woken), std::max(left, absl::ZeroDuration()));
      if (stopped_) return Woken::kStopped;
      if (Now() >= until) return Woken::kTime;
      if (woken()) return Woken::kRoom;
      progress.open = num_alive_;
    }
    show(progress);
  }
}

void LoadRun::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
}

}  // namespace sdar
