// SPDX-License-Identifier: Apache-2.0
// What the calls of a soak are for, how each sort may end, and how many did.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include <grpcpp/grpcpp.h>

namespace sdar {

enum class CallKind {
  kAnswer,       // read to its end, and compared
  kProvisional,  // likewise, with what comes before the final text
  kCancel,       // closed by the client after some responses
  kDeadline,     // with little time, which the call says
  kTimeout,      // with little time, which the request says
  kSlowReader,   // reads to the end, later
  kGoneReader,   // reads a little, then goes with its connection
  kAbort,        // ended by another client
  kTooLarge,
  kBad,
};
inline constexpr size_t kNumCallKinds = 10;

struct CallRules {
  const char* name;
  unsigned share;                              // of the calls
  grpc::StatusCode usual;                      // happens in every soak
  std::vector<grpc::StatusCode> also_allowed;  // where the call was faster than what should end it
};
const CallRules& RulesOf(CallKind kind);

// Ends by kind and status. Thread-safe.
class SoakTally {
 public:
  // False for a status that the kind must not have.
  bool Note(CallKind kind, grpc::StatusCode code);
  int64_t Count(CallKind kind, grpc::StatusCode code) const;
  // Of all calls.
  int64_t total() const;
  // "answer 12, cancel 3 + 1 OK, ..."
  std::string Text() const;

 private:
  mutable absl::Mutex mutex_;
  std::map<std::pair<CallKind, grpc::StatusCode>, int64_t> counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sdar
