// SPDX-License-Identifier: Apache-2.0
// Fuzzes a line of sdar-generate's input, from JSON to the samples that would be queued.
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

#include "common/status_macros.h"
#include "launcher/generate/jsonl_request.h"
#include "runtime/request/request_fields.h"

namespace {

sdar::TextCodec LoadCodec() {
  auto codec = sdar::TextCodec::Load(SDAR_SOURCE_DIR "/models/sdar-tiny");
  SDAR_CHECK(codec.ok());
  return *std::move(codec);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const sdar::TextCodec codec = LoadCodec();
  const sdar::RequestLimits limits{1024, 2048, 16, 64, 256};
  sdar::Json id;
  auto request = sdar::ParseJsonlRequest({reinterpret_cast<const char*>(data), size}, 1, codec, id);
  if (!request.ok()) return 0;
  const auto samples =
      sdar::BuildRequests(request->fields, std::move(request->prompt), {{}, 4}, limits);
  if (!samples.ok()) return 0;
  SDAR_CHECK(!samples->empty());
  for (const sdar::GenerationRequest& sample : *samples) {
    SDAR_CHECK(sdar::ValidateRequest(sample, limits).ok());
  }
  return 0;
}
