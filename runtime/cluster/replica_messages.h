// SPDX-License-Identifier: Apache-2.0
// Requests, updates and statuses as the messages that travel between replicas, without loss. Pure;
// any thread.
#pragma once

#include "absl/status/status.h"

#include "common/steady_time.h"
#include "runtime/engine/engine.h"
#include "runtime/request/generation_request.h"
#include "sdar/v1/replica.pb.h"

namespace sdar {

// Moments travel as the time between them and `now`, because hosts' clocks have nothing in common:
// they arrive later by what the message took. All else arrives to the bit, but for a compiled
// grammar, which the receiver makes of the structure again. FromMessage is the
// inverse of ToMessage for the same `now`.
sdar::v1::SequenceRequest ToMessage(const GenerationRequest& request, SteadyTime now);
GenerationRequest FromMessage(const sdar::v1::SequenceRequest& message, SteadyTime now);

sdar::v1::SequenceNews ToMessage(const SequenceUpdate& update, SteadyTime now);
SequenceUpdate FromMessage(const sdar::v1::SequenceNews& message, SteadyTime now);

sdar::v1::ReplicaStatus ToMessage(const EngineStatus& status, SteadyTime now);
EngineStatus FromMessage(const sdar::v1::ReplicaStatus& message, SteadyTime now);

// Code and message, without payloads.
sdar::v1::EndStatus ToMessage(const absl::Status& status);
absl::Status FromMessage(const sdar::v1::EndStatus& message);

}  // namespace sdar
