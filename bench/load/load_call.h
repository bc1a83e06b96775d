// SPDX-License-Identifier: Apache-2.0
// One asynchronous Generate call of a load run, and when its parts arrived.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include <grpcpp/grpcpp.h>

#include "bench/load/load_plan.h"
#include "sdar/v1/generation.grpc.pb.h"

namespace sdar {

// Times are since the start of the run.
struct CallRecord {
  absl::Duration arrival;  // when it was meant to start: latencies count from here
  absl::Duration started;
  std::optional<absl::Duration> first_token;
  absl::Duration last_token;
  absl::Duration ended;
  std::vector<absl::Duration> gaps;  // between one piece of output and the next
  int64_t first_tokens = 0;          // how many came with the first piece
  int64_t output_tokens = 0;
  std::optional<sdar::v1::Usage> usage;  // once it has finished
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string message;
  bool cancelled = false;  // on purpose, by this side
};

// Reads on gRPC's threads, until on_done gets the record and deletes the call.
class LoadCall : public grpc::ClientReadReactor<sdar::v1::GenerateResponse> {
 public:
  using Clock = std::function<absl::Duration()>;
  using OnDoneCallback = std::function<void(LoadCall* call, CallRecord record)>;

  // timeout zero: none. on_done may be called before Start returns.
  LoadCall(PlannedCall planned, absl::Duration timeout, Clock clock, OnDoneCallback on_done);

  void Start(sdar::v1::GenerationService::Stub& stub);
  // Ends the call soon. Any thread.
  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  void NoteTokens(int64_t count);

  const PlannedCall planned_;
  const Clock clock_;
  OnDoneCallback on_done_;
  grpc::ClientContext context_;
  sdar::v1::GenerateResponse response_;
  CallRecord record_;
};

}  // namespace sdar
