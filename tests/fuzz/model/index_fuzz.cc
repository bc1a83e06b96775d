// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: any text as model.safetensors.index.json. No file name may leave the folder.
#include <cstddef>
#include <cstdint>

#include "common/status_macros.h"
#include "runtime/checkpoint/checkpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto index = sdar::ParseShardIndex(
      absl::string_view(reinterpret_cast<const char*>(data), size), "index.json");
  if (!index.ok()) return 0;
  SDAR_CHECK(!index->files.empty());
  for (const std::string& file : index->files) SDAR_CHECK(file.find('/') == std::string::npos);
  for (const auto& [tensor, file] : index->file_of) SDAR_CHECK(file < index->files.size());
  return 0;
}
