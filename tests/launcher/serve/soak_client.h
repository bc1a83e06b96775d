// SPDX-License-Identifier: Apache-2.0
// One of the clients of a soak: calls of all sorts, one after the other.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "sdar/v1/generation.grpc.pb.h"
#include "tests/launcher/serve/soak_tally.h"

namespace sdar {

// All that a call brought that does not depend on what else ran.
struct SampleAnswer {
  std::string text;
  std::vector<uint32_t> token_ids;
  std::vector<float> logprobs;
  bool operator==(const SampleAnswer& other) const {
    return text == other.text && token_ids == other.token_ids && logprobs == other.logprobs;
  }
};
using Answer = std::vector<SampleAnswer>;  // by sample

struct KnownAnswer {
  sdar::v1::GenerateRequest request;
  Answer answer;
};

// Reads a call to its end.
grpc::Status ReadAll(grpc::ClientReader<sdar::v1::GenerateResponse>& reader, Answer& answer);

// The answers to FixedRequests, asked for one at a time.
std::vector<KnownAnswer> AskOneAtATime(sdar::v1::GenerationService::Stub& stub);

// One thread.
class SoakClient {
 public:
  // Draws its calls from `number`. `known` and `tally` outlive it.
  SoakClient(unsigned number, const std::string& address, const std::vector<KnownAnswer>& known,
             SoakTally& tally);
  // A call of a kind that is drawn. False, with a test failure, when it ended as it must not.
  bool CallOnce();

 private:
  using Reader = std::unique_ptr<grpc::ClientReader<sdar::v1::GenerateResponse>>;

  CallKind DrawKind();
  grpc::Status Call(CallKind kind);
  grpc::Status CallAndCompare(bool provisional);
  grpc::Status CallAndCancel();
  grpc::Status CallWithDeadline();
  grpc::Status CallWithTimeout();
  grpc::Status CallAndReadSlowly(bool to_the_end);
  grpc::Status CallAndAbort();
  grpc::Status CallToTheEnd(const sdar::v1::GenerateRequest& request);

  const unsigned number_;
  const std::string address_;
  const std::vector<KnownAnswer>& known_;
  SoakTally& tally_;
  std::mt19937 random_;
  std::unique_ptr<sdar::v1::GenerationService::Stub> stub_;
  std::unique_ptr<sdar::v1::GenerationService::Stub> other_;  // of another connection
  unsigned num_aborts_ = 0;
};

}  // namespace sdar
