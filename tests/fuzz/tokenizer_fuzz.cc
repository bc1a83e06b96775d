// SPDX-License-Identifier: Apache-2.0
// Fuzzes the tokenizer: an input is tokenizer.json, then tokenizer_config.json, then a text, parted
// by zero bytes. What loads must encode and decode without loss beyond normalisation.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "common/status_macros.h"
#include "runtime/text/incremental_detokenizer.h"
#include "runtime/text/tokenizer.h"

namespace {

void Check(const sdar::Tokenizer& tokenizer, absl::string_view text) {
  const auto ids = tokenizer.Encode(text);
  if (!ids.ok()) return;
  for (const bool skip_special : {false, true}) {
    sdar::IncrementalDetokenizer detokenizer(tokenizer, skip_special);
    std::string joined;
    for (const sdar::TokenId id : *ids) {
      SDAR_CHECK(tokenizer.HasToken(id));
      joined += detokenizer.Push(id);
    }
    joined += detokenizer.Flush();
    SDAR_CHECK(joined == tokenizer.Decode(*ids, skip_special));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  const std::vector<absl::string_view> parts =
      absl::StrSplit(input, absl::MaxSplits(absl::ByChar('\0'), 2));
  sdar::TokenizerFiles files;
  files.tokenizer_json = std::string(parts[0]);
  if (parts.size() > 1 && !parts[1].empty()) files.tokenizer_config_json = std::string(parts[1]);
  const auto tokenizer = sdar::Tokenizer::FromFiles(files);
  if (tokenizer.ok()) Check(*tokenizer, parts.size() > 2 ? parts[2] : input);
  return 0;
}
