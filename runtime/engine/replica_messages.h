// SPDX-License-Identifier: Apache-2.0
// Requests, updates and statuses as the messages that travel between replicas, without loss. Pure;
// any thread.
#pragma once

#include "absl/status/status.h"

#include "runtime/engine/engine.h"
#include "runtime/engine/generation_request.h"
#include "sdar/v1/replica.pb.h"

namespace sdar {

// The deadline to the nanosecond; all else to the bit. FromMessage is the inverse of ToMessage.
sdar::v1::SequenceRequest ToMessage(const GenerationRequest& request);
GenerationRequest FromMessage(const sdar::v1::SequenceRequest& message);

sdar::v1::SequenceNews ToMessage(const SequenceUpdate& update);
SequenceUpdate FromMessage(const sdar::v1::SequenceNews& message);

sdar::v1::ReplicaStatus ToMessage(const EngineStatus& status);
EngineStatus FromMessage(const sdar::v1::ReplicaStatus& message);

// Code and message, without payloads.
sdar::v1::EndStatus ToMessage(const absl::Status& status);
absl::Status FromMessage(const sdar::v1::EndStatus& message);

}  // namespace sdar
