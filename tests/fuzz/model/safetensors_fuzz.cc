// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: any bytes as a safetensors file. Whatever parses must lie within the file.
#include <cstddef>
#include <cstdint>

#include "common/status_macros.h"
#include "runtime/checkpoint/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto header = sdar::ParseSafetensorsHeader({reinterpret_cast<const std::byte*>(data), size},
                                                   "fuzz.safetensors");
  if (!header.ok()) {
    SDAR_CHECK(header.status().message().size() < 2000);
    return 0;
  }
  SDAR_CHECK(header->data_offset <= size);
  for (const sdar::StoredTensor& tensor : header->tensors) {
    SDAR_CHECK(tensor.begin <= tensor.end);
    SDAR_CHECK(tensor.end <= size - header->data_offset);
  }
  return 0;
}
