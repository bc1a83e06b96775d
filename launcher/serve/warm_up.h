// SPDX-License-Identifier: Apache-2.0
// Requests that a job answers to itself before others may ask.
#pragma once

#include "absl/status/status.h"

#include "runtime/cluster/router.h"
#include "runtime/request/request_fields.h"
#include "runtime/text/text_codec.h"

namespace sdar {

// Takes every replica through what first requests would pay for: template and tokenizer, prefill,
// denoising by drawing and without, scoring, and prompts of growing length until a second is spent.
// Requests that could never fit are left out. The error of a request that fails otherwise, which
// is Router::Stop's where the job stops meanwhile. Waits for the engines, which have to run.
absl::Status WarmUp(Router& router, const TextCodec& text, const RequestDefaults& defaults);

}  // namespace sdar
