// SPDX-License-Identifier: Apache-2.0
// What sdar-client says about an answer, a server and an error. Pure functions.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "common/json.h"
#include "launcher/client/client_call.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

// One line: tokens, denoising steps, forward passes, and how fast they came unless the client took
// its time; sums over samples.
std::string DescribeUsage(const Generation& generation, bool with_speed);

// The record of one sample, with the fields of the offline programs' output lines.
// Requires: the sample has finished.
Json RecordOf(const Generation& generation, size_t index);

std::string Describe(const sdar::v1::GetStatusResponse& status);
std::string Describe(const sdar::v1::GetModelInfoResponse& info);

// "UNAVAILABLE: message"; where the server cannot be reached, with its address.
std::string DescribeError(const absl::Status& status, absl::string_view server);

}  // namespace sdar
