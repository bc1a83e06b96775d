// SPDX-License-Identifier: Apache-2.0
// A small tokenizer made in memory: the 256 bytes, a few merges and added tokens.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/json.h"
#include "runtime/text/byte_alphabet.h"
#include "runtime/text/tokenizer.h"
#include "tests/status_matchers.h"

namespace sdar {

// A tokenizer.json whose vocabulary is the bytes (id = byte) and, from id 256 on, `merges`.
inline Json SmallTokenizerJson(const std::vector<std::pair<std::string, std::string>>& merges) {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocab[TokenOfBytes(std::string(1, static_cast<char>(byte)))] = byte;
  }
  Json merge_list = Json::array();
  int id = 256;
  for (const auto& [left, right] : merges) {
    merge_list.push_back({left, right});
    vocab[left + right] = id++;
  }
  return {{"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer",
           {{"type", "Sequence"},
            {"pretokenizers",
             {{{"type", "Split"},
               {"pattern", {{"Regex", std::string(Pretokenizer::Qwen2Pattern())}}},
               {"behavior", "Isolated"},
               {"invert", false}},
              {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"added_tokens", Json::array()},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merge_list}}}};
}

inline absl::StatusOr<Tokenizer> FromTokenizerJson(const Json& tokenizer_json,
                                                   const std::string& config = "{}") {
  TokenizerFiles files;
  files.tokenizer_json = tokenizer_json.dump();
  files.tokenizer_config_json = config;
  return Tokenizer::FromFiles(files);
}

}  // namespace sdar
