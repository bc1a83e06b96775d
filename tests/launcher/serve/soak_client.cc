// SPDX-License-Identifier: Apache-2.0
#include "tests/launcher/serve/soak_client.h"

#include <chrono>
#include <thread>

#include "gtest/gtest.h"

#include "tests/launcher/channels.h"
#include "tests/launcher/serve/soak_requests.h"

namespace sdar {
namespace {

using sdar::v1::GenerateRequest;
using sdar::v1::GenerateResponse;
using sdar::v1::GenerationService;

// A call that takes longer hangs.
constexpr auto kHangs = std::chrono::seconds(120);

void SetDeadline(grpc::ClientContext& context, std::chrono::milliseconds from_now = kHangs) {
  context.set_deadline(std::chrono::system_clock::now() + from_now);
}

}  // namespace

grpc::Status ReadAll(grpc::ClientReader<GenerateResponse>& reader, Answer& answer) {
  GenerateResponse response;
  while (reader.Read(&response)) {
    if (!response.has_delta()) continue;
    const sdar::v1::Delta& delta = response.delta();
    if (answer.size() <= delta.index()) answer.resize(delta.index() + 1);
    SampleAnswer& sample = answer[delta.index()];
    sample.text += delta.text();
    sample.token_ids.insert(sample.token_ids.end(), delta.token_ids().begin(),
                            delta.token_ids().end());
    sample.logprobs.insert(sample.logprobs.end(), delta.logprobs().begin(), delta.logprobs().end());
  }
  return reader.Finish();
}

std::vector<KnownAnswer> AskOneAtATime(GenerationService::Stub& stub) {
  std::vector<KnownAnswer> known;
  for (const GenerateRequest& request : FixedRequests()) {
    grpc::ClientContext context;
    SetDeadline(context);
    known.push_back({request, {}});
    const grpc::Status status = ReadAll(*stub.Generate(&context, request), known.back().answer);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_FALSE(known.back().answer.empty());
  }
  return known;
}

SoakClient::SoakClient(unsigned number, const std::string& address,
                       const std::vector<KnownAnswer>& known, SoakTally& tally)
    : number_(number),
      address_(address),
      known_(known),
      tally_(tally),
      random_(number),
      stub_(GenerationService::NewStub(OwnChannel(address))),
      other_(GenerationService::NewStub(OwnChannel(address))) {}

bool SoakClient::CallOnce() {
  const CallKind kind = DrawKind();
  const grpc::Status status = Call(kind);
  if (tally_.Note(kind, status.error_code())) return true;
  ADD_FAILURE() << RulesOf(kind).name << " ended with status " << status.error_code() << ": "
                << status.error_message();
  return false;
}

CallKind SoakClient::DrawKind() {
  unsigned sum = 0;
  for (size_t k = 0; k < kNumCallKinds; ++k) sum += RulesOf(static_cast<CallKind>(k)).share;
  unsigned drawn = Below(random_, sum);
  size_t k = 0;
  for (; drawn >= RulesOf(static_cast<CallKind>(k)).share; ++k) {
    drawn -= RulesOf(static_cast<CallKind>(k)).share;
  }
  return static_cast<CallKind>(k);
}

grpc::Status SoakClient::Call(CallKind kind) {
  switch (kind) {
    case CallKind::kAnswer:
    case CallKind::kProvisional:
      return CallAndCompare(kind == CallKind::kProvisional);
    case CallKind::kCancel:
      return CallAndCancel();
    case CallKind::kDeadline:
      return CallWithDeadline();
    case CallKind::kTimeout:
      return CallWithTimeout();
    case CallKind::kSlowReader:
    case CallKind::kGoneReader:
      return CallAndReadSlowly(kind == CallKind::kSlowReader);
    case CallKind::kAbort:
      return CallAndAbort();
    case CallKind::kTooLarge:
      return CallToTheEnd(TooLargeRequest());
    case CallKind::kBad:
      break;
  }
  return CallToTheEnd(BadRequest(random_));
}

grpc::Status SoakClient::CallToTheEnd(const GenerateRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context);
  Answer answer;
  return ReadAll(*stub_->Generate(&context, request), answer);
}

grpc::Status SoakClient::CallAndCompare(bool provisional) {
  const KnownAnswer& known = known_[Below(random_, static_cast<unsigned>(known_.size()))];
  GenerateRequest request = known.request;
  request.mutable_output()->set_provisional(provisional);
  request.mutable_scheduling()->set_priority(static_cast<int>(Below(random_, 5)) - 2);
  grpc::ClientContext context;
  SetDeadline(context);
  Answer answer;
  grpc::Status status = ReadAll(*stub_->Generate(&context, request), answer);
  if (status.ok() && answer != known.answer) {
    return {grpc::StatusCode::DATA_LOSS, "another answer than alone to " + request.DebugString()};
  }
  return status;
}

grpc::Status SoakClient::CallAndCancel() {
  grpc::ClientContext context;
  SetDeadline(context);
  const Reader reader = stub_->Generate(&context, SomeRequest(random_));
  GenerateResponse response;
  for (unsigned left = Below(random_, 6); left > 0 && reader->Read(&response); --left) {
  }
  context.TryCancel();
  Answer rest;
  return ReadAll(*reader, rest);
}

grpc::Status SoakClient::CallWithDeadline() {
  grpc::ClientContext context;
  SetDeadline(context, std::chrono::milliseconds(1 + Below(random_, 400)));
  Answer answer;
  return ReadAll(*stub_->Generate(&context, SomeRequest(random_)), answer);
}

grpc::Status SoakClient::CallWithTimeout() {
  GenerateRequest request = SomeRequest(random_);
  request.mutable_scheduling()->set_timeout_seconds(0.001 * (1 + Below(random_, 400)));
  return CallToTheEnd(request);
}

// The wait only lets the answer pile up; any length of it is right.
grpc::Status SoakClient::CallAndReadSlowly(bool to_the_end) {
  auto stub = GenerationService::NewStub(NarrowChannel(address_));
  grpc::ClientContext context;
  SetDeadline(context);
  const Reader reader = stub->Generate(&context, WideRequest(random_));
  GenerateResponse response;
  reader->Read(&response);
  std::this_thread::sleep_for(std::chrono::milliseconds(200 + Below(random_, 2000)));
  if (!to_the_end) {
    context.TryCancel();
    return reader->Finish();
  }
  Answer rest;
  return ReadAll(*reader, rest);
}

grpc::Status SoakClient::CallAndAbort() {
  GenerateRequest request = SomeRequest(random_);
  request.set_request_id("soak-" + std::to_string(number_) + "-" + std::to_string(num_aborts_++));
  grpc::ClientContext context;
  SetDeadline(context);
  const Reader reader = stub_->Generate(&context, request);
  std::thread aborter([&, wait = Below(random_, 2) == 0] {
    grpc::ClientContext abort_context;
    SetDeadline(abort_context);
    sdar::v1::AbortRequest abort;
    abort.set_request_id(request.request_id());
    sdar::v1::AbortResponse nothing;
    if (wait) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const grpc::Status status = other_->Abort(&abort_context, abort, &nothing);
    const bool known = status.ok() || status.error_code() == grpc::StatusCode::NOT_FOUND;
    EXPECT_TRUE(known) << status.error_message();
  });
  Answer answer;
  grpc::Status status = ReadAll(*reader, answer);
  aborter.join();
  return status;
}

}  // namespace sdar
