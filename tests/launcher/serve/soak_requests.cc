// SPDX-License-Identifier: Apache-2.0
#include "tests/launcher/serve/soak_requests.h"

#include "tests/launcher/served_job.h"

namespace sdar {
namespace {

using sdar::v1::GenerateRequest;

// The model's ids below its special tokens.
constexpr unsigned kPlainIds = 900;
constexpr unsigned kBeginnings = 3;

void AddIds(std::mt19937& random, int count, GenerateRequest& request) {
  for (int i = 0; i < count; ++i) request.mutable_prompt_ids()->add_ids(Below(random, kPlainIds));
}

// One of a few prompts of two pages, and an end of its own.
GenerateRequest WithSharedBeginning(unsigned which, std::mt19937& random) {
  GenerateRequest request;
  std::mt19937 beginning(which % kBeginnings);
  AddIds(beginning, 128, request);
  AddIds(random, 1 + static_cast<int>(Below(random, 20)), request);
  request.mutable_stopping()->set_ignore_eos(true);
  request.mutable_sampling()->set_temperature(1);
  request.mutable_sampling()->set_seed(random());
  return request;
}

}  // namespace

std::vector<GenerateRequest> FixedRequests() {
  std::vector<GenerateRequest> requests = {Ask("Hello!"), Ask("What is 12 + 30?"),
                                           Ask("What is tensor parallelism?")};
  std::mt19937 random(20261124);
  for (unsigned i = 0; i < 9; ++i) {
    GenerateRequest request = WithSharedBeginning(i, random);
    request.mutable_stopping()->set_max_tokens(24 + 8 * i);
    sdar::v1::SamplingParameters& sampling = *request.mutable_sampling();
    if (i % 3 == 0) sampling.set_temperature(0);
    if (i % 3 == 1) sampling.set_top_p(0.9F);
    if (i % 4 == 1) sampling.set_n(3);
    if (i % 4 == 2) sampling.set_block_length(8);
    if (i % 2 == 1) request.mutable_output()->set_logprobs(5);
    request.mutable_scheduling()->set_drafts(i % 4 == 0 ? 4 : -1);
    if (i == 5) sampling.set_repetition_penalty(1.2F);
    requests.push_back(request);
  }
  return requests;
}

GenerateRequest SomeRequest(std::mt19937& random) {
  GenerateRequest request = WithSharedBeginning(Below(random, kBeginnings), random);
  request.mutable_stopping()->set_max_tokens(50 + Below(random, 200));
  request.mutable_sampling()->set_n(1 + Below(random, 2));
  request.mutable_scheduling()->set_priority(static_cast<int>(Below(random, 3)) - 1);
  return request;
}

GenerateRequest WideRequest(std::mt19937& random) {
  GenerateRequest request = SomeRequest(random);
  request.mutable_stopping()->set_max_tokens(400);
  request.mutable_sampling()->set_n(8);
  request.mutable_output()->set_logprobs(20);
  return request;
}

GenerateRequest TooLargeRequest() {
  GenerateRequest request;
  request.mutable_prompt_ids()->add_ids(1);
  request.mutable_stopping()->set_max_tokens(2000);
  return request;
}

GenerateRequest BadRequest(std::mt19937& random) {
  GenerateRequest request = SomeRequest(random);
  switch (Below(random, 6)) {
    case 0:
      request.clear_prompt_ids();
      break;
    case 1:
      request.mutable_prompt_ids()->add_ids(5000);
      break;
    case 2:
      request.mutable_stopping()->set_max_tokens(100000);
      break;
    case 3:
      request.mutable_sampling()->set_temperature(-1);
      break;
    case 4:
      request.mutable_sampling()->set_n(0);
      break;
    default:
      request.mutable_scheduling()->set_timeout_seconds(0);
  }
  return request;
}

}  // namespace sdar
