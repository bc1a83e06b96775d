// SPDX-License-Identifier: Apache-2.0
// Fuzzes the reader of HTTP requests: a connection's bytes, several requests one after the other.
// However the bytes are cut, the same requests must be read, and no more is held than was sent.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "runtime/server/http/http_request_reader.h"

namespace {

using Stage = sdar::HttpRequestReader::Stage;

constexpr sdar::HttpLimits kLimits = {.max_header_bytes = 2048, .max_body_bytes = 4096};

// What a connection's bytes were read as, in words.
std::string ReadAll(absl::string_view bytes, size_t piece) {
  sdar::BodyBudget budget(size_t{1} << 20);
  std::string out;
  // Readers cannot be assigned to: one for each request.
  std::vector<std::unique_ptr<sdar::HttpRequestReader>> readers;
  readers.push_back(std::make_unique<sdar::HttpRequestReader>(kLimits, budget));
  for (size_t i = 0; i < bytes.size(); i += piece) {
    absl::string_view input = bytes.substr(i, piece);
    while (!input.empty()) {
      sdar::HttpRequestReader& current = *readers.back();
      Stage stage = current.Take(input);
      if (stage == Stage::kHeadRead) stage = current.Accept(kLimits.max_body_bytes);
      if (stage == Stage::kBody) continue;
      if (stage == Stage::kHead) {
        SDAR_CHECK(input.empty());
        continue;
      }
      if (stage == Stage::kFault) {
        SDAR_CHECK(current.fault().code >= 400 && current.fault().code < 600);
        return absl::StrCat(out, "fault ", current.fault().code, " ", current.fault().message);
      }
      const std::string body = current.TakeBody();
      SDAR_CHECK(stage == Stage::kWhole && body.size() <= kLimits.max_body_bytes);
      SDAR_CHECK(current.head().chunked || body.size() == current.head().content_length);
      absl::StrAppend(&out, current.head().method, " ", current.head().path, " ",
                      current.head().host, " ", body, "\n");
      readers.push_back(std::make_unique<sdar::HttpRequestReader>(kLimits, budget));
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = ReadAll(bytes, size + 1);
  SDAR_CHECK(ReadAll(bytes, 1) == whole);
  SDAR_CHECK(ReadAll(bytes, 7) == whole);
  return 0;
}
