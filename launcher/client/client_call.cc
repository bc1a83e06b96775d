// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/client_call.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/client_context.h"

#include "common/steady_time.h"

namespace sdar {
namespace {

using sdar::v1::Delta;
using sdar::v1::GenerateResponse;

constexpr uint32_t kMaxSamples = 128;

void Append(const Delta& delta, Sample& sample) {
  sample.text += delta.text();
  sample.token_ids.insert(sample.token_ids.end(), delta.token_ids().begin(),
                          delta.token_ids().end());
  sample.logprobs.insert(sample.logprobs.end(), delta.logprobs().begin(), delta.logprobs().end());
  sample.entropies.insert(sample.entropies.end(), delta.entropies().begin(),
                          delta.entropies().end());
  sample.steps.insert(sample.steps.end(), delta.steps().begin(), delta.steps().end());
  sample.top.insert(sample.top.end(), delta.top().begin(), delta.top().end());
}

absl::Status Collect(const GenerateResponse& response, Generation& out) {
  out.request_id = response.request_id();
  const uint32_t index = response.has_finished()      ? response.finished().index()
                         : response.has_provisional() ? response.provisional().index()
                                                      : response.delta().index();
  if (index >= kMaxSamples) {
    return absl::InternalError(absl::StrCat("the server sent sample ", index));
  }
  if (out.samples.size() <= index) out.samples.resize(index + 1);
  Sample& sample = out.samples[index];
  if (response.has_delta()) Append(response.delta(), sample);
  if (response.has_finished()) sample.finished = response.finished();
  return absl::OkStatus();
}

absl::Status CheckComplete(const Generation& generation) {
  const bool complete =
      !generation.samples.empty() &&
      std::all_of(generation.samples.begin(), generation.samples.end(),
                  [](const Sample& sample) { return sample.finished.has_value(); });
  if (complete) return absl::OkStatus();
  return absl::InternalError("the stream ended before the answer did");
}

}  // namespace

absl::Status FromGrpc(const grpc::Status& status) {
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

Generation Generate(sdar::v1::GenerationService::StubInterface& stub,
                    const sdar::v1::GenerateRequest& request, absl::Duration timeout,
                    Interrupts& interrupts,
                    absl::FunctionRef<void(const GenerateResponse&)> on_event) {
  Generation out;
  const SteadyTime start = SteadyTime::Now();
  grpc::ClientContext context;
  if (timeout > absl::ZeroDuration())
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  interrupts.Begin([&context] { context.TryCancel(); });
  const auto reader = stub.Generate(&context, request);
  GenerateResponse response;
  absl::Status collected;
  while (collected.ok() && reader->Read(&response)) {
    collected = Collect(response, out);
    if (!collected.ok()) break;
    if (out.first_text == absl::ZeroDuration() && !response.delta().text().empty()) {
      out.first_text = SteadyTime::Now() - start;
    }
    on_event(response);
  }
  if (!collected.ok()) context.TryCancel();
  const absl::Status ended = FromGrpc(reader->Finish());
  out.interrupted = interrupts.End();
  out.total = SteadyTime::Now() - start;
  out.status = collected;
  if (collected.ok()) out.status = ended.ok() ? CheckComplete(out) : ended;
  return out;
}

}  // namespace sdar
