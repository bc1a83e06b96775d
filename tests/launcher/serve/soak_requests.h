// SPDX-License-Identifier: Apache-2.0
// What the clients of a soak ask of sdar-tiny.
#pragma once

#include <random>
#include <vector>

#include "sdar/v1/generation.pb.h"

namespace sdar {

// Between 0 and n - 1.
inline unsigned Below(std::mt19937& random, unsigned n) {
  return static_cast<unsigned>(random() % n);
}

// Always the same requests, each with only one right answer: greedy and sampled, with and without
// logprobs, several samples, shared beginnings.
std::vector<sdar::v1::GenerateRequest> FixedRequests();

// Runs for a hundred tokens or two; the beginning is one that many have.
sdar::v1::GenerateRequest SomeRequest(std::mt19937& random);

// Answers faster than a slow reader reads.
sdar::v1::GenerateRequest WideRequest(std::mt19937& random);

// More K/V memory than the soak's job has.
sdar::v1::GenerateRequest TooLargeRequest();

// INVALID_ARGUMENT for one reason or another.
sdar::v1::GenerateRequest BadRequest(std::mt19937& random);

}  // namespace sdar
