// SPDX-License-Identifier: Apache-2.0
// A Generate call that is open while something happens to the job.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include <grpcpp/grpcpp.h>

#include "sdar/v1/generation.grpc.pb.h"
#include "tests/launcher/served_job.h"

namespace sdar {

// A job that has lost a rank is over within this, clients answered and every process gone.
constexpr double kFailureSeconds = 15;

class Stopwatch {
 public:
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// For jobs that drain: however slow the machine is, open calls come to their end.
constexpr char kLongDrain[] = "--drain-timeout=600";

// As long as a request of sdar-tiny can be.
inline sdar::v1::GenerateRequest LongRequest() {
  sdar::v1::GenerateRequest request = Ask("Hello!");
  request.mutable_stopping()->set_max_tokens(1900);
  request.mutable_stopping()->set_ignore_eos(true);
  return request;
}

// One position a step, in blocks that make steps large: not over on a fast machine before a signal
// has come. Not for calls that are to end by themselves: under sanitizers that takes minutes.
inline sdar::v1::GenerateRequest SlowRequest() {
  sdar::v1::GenerateRequest request = LongRequest();
  request.mutable_sampling()->set_block_length(64);
  request.mutable_sampling()->set_remasking_strategy(sdar::v1::SEQUENTIAL);
  request.mutable_scheduling()->set_drafts(0);
  return request;
}

// Open, with its first text there, once constructed.
class OpenCall {
 public:
  explicit OpenCall(ServedJob& job, const sdar::v1::GenerateRequest& request = LongRequest()) {
    reader_ = job.stub().Generate(&context_, request);
    EXPECT_TRUE(reader_->Read(&response_)) << job.Log();
  }
  // Reads to the end.
  grpc::Status Finish() {
    while (reader_->Read(&response_)) {
    }
    return reader_->Finish();
  }
  const std::string& request_id() const { return response_.request_id(); }

 private:
  grpc::ClientContext context_;
  sdar::v1::GenerateResponse response_;
  std::unique_ptr<grpc::ClientReader<sdar::v1::GenerateResponse>> reader_;
};

}  // namespace sdar
