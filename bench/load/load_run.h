// SPDX-License-Identifier: Apache-2.0
// Puts load on a serving job and notes how it answers.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bench/load/load_call.h"
#include "bench/load/load_options.h"
#include "bench/load/load_plan.h"
#include "sdar/v1/generation.grpc.pb.h"

namespace sdar {

struct LoadResult {
  sdar::v1::GetModelInfoResponse model;
  absl::Duration elapsed;         // from the start to the last call's end
  std::vector<CallRecord> calls;  // in the order in which they ended
  int64_t unfinished = 0;         // calls that Stop ended; not among `calls`
};

// Calls that are open need no thread each: gRPC's few read for all.
class LoadRun {
 public:
  struct Progress {
    absl::Duration elapsed;
    int64_t sent = 0;
    int64_t open = 0;
  };

  explicit LoadRun(const LoadOptions& options);

  // Sends requests until their number or time is used up, then waits for the open calls.
  // Unavailable when the server does not answer, InvalidArgument when the requests cannot fit it;
  // that calls fail is a result, not an error. Call once. Blocks; `show` is called a few times a
  // second.
  absl::StatusOr<LoadResult> Run(absl::FunctionRef<void(const Progress&)> show);
  // Makes Run end the open calls and return what was measured. Any thread.
  void Stop();

 private:
  absl::StatusOr<sdar::v1::GetModelInfoResponse> AskForModel();
  void SendAll(LoadPlan& plan, absl::FunctionRef<void(const Progress&)> show);
  void Send(PlannedCall call);
  void Done(LoadCall* call, CallRecord record);
  void EndOpenCalls();
  // Waits until at most `max_open` calls are open, the time is `until`, or Stop.
  enum class Woken { kRoom, kTime, kStopped };
  Woken Await(int64_t max_open, absl::Duration until,
              absl::FunctionRef<void(const Progress&)> show);
  absl::Duration Now() const;

  const LoadOptions options_;
  std::unique_ptr<sdar::v1::GenerationService::Stub> stub_;
  int64_t start_ns_ = 0;  // of the steady clock; when sending began
  int64_t sent_ = 0;

  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<LoadCall*> open_ ABSL_GUARDED_BY(mutex_);
  int64_t num_alive_ ABSL_GUARDED_BY(mutex_) = 0;  // calls that are not deleted yet
  LoadResult result_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sdar
