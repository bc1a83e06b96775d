// SPDX-License-Identifier: Apache-2.0
#include "bench/load/load_call.h"

#include <utility>

namespace sdar {

LoadCall::LoadCall(PlannedCall planned, absl::Duration timeout, Clock clock, OnDoneCallback on_done)
    : planned_(std::move(planned)), clock_(std::move(clock)), on_done_(std::move(on_done)) {
  record_.arrival = planned_.arrival;
  if (timeout > absl::ZeroDuration()) {
    context_.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(timeout));
  }
}

void LoadCall::Start(sdar::v1::GenerationService::Stub& stub) {
  record_.started = clock_();
  stub.async()->Generate(&context_, &planned_.request, this);
  StartRead(&response_);
  StartCall();
}

void LoadCall::OnReadDone(bool ok) {
  if (!ok) return;
  if (response_.has_delta()) NoteTokens(response_.delta().token_ids_size());
  if (response_.has_finished()) record_.usage = response_.finished().usage();
  StartRead(&response_);
}

void LoadCall::NoteTokens(int64_t count) {
  if (count == 0) return;
  const absl::Duration now = clock_();
  if (record_.first_token) {
    record_.gaps.push_back(now - record_.last_token);
  } else {
    record_.first_token = now;
    record_.first_tokens = count;
  }
  record_.last_token = now;
  record_.output_tokens += count;
  if (planned_.cancel_after_tokens && !record_.cancelled &&
      record_.output_tokens >= *planned_.cancel_after_tokens) {
    record_.cancelled = true;
    Cancel();
  }
}

void LoadCall::OnDone(const grpc::Status& status) {
  record_.ended = clock_();
  record_.code = static_cast<absl::StatusCode>(status.error_code());
  record_.message = status.error_message();
  const OnDoneCallback on_done = std::move(on_done_);  // outlives the call
  on_done(this, std::move(record_));
}

}  // namespace sdar
