// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/tokenizer_files.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "common/status_macros.h"
#include "runtime/text/pretokenizer.h"
#include "runtime/text/tokenizer_json.h"

namespace sdar {
namespace {

constexpr absl::string_view kConfig = "tokenizer_config.json";

absl::StatusOr<std::optional<std::string>> ReadIfPresent(const std::string& folder,
                                                         const char* name) {
  const std::filesystem::path path = std::filesystem::path(folder) / name;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::optional<std::string>();
  SDAR_ASSIGN_OR_RETURN(std::string content, ReadFile(path.string()));
  return std::optional<std::string>(std::move(content));
}

// Two columns a line; a first line that begins with "#version" is a comment.
absl::Status ReadMergesText(absl::string_view text, TokenizerDescription& out) {
  int line_number = 0;
  while (!text.empty()) {
    ++line_number;
    const size_t end = std::min(text.find('\n'), text.size());
    absl::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty() || (line_number == 1 && line.substr(0, 8) == "#version")) continue;
    const size_t space = line.find(' ');
    if (space == absl::string_view::npos || line.find(' ', space + 1) != absl::string_view::npos) {
      return InvalidTokenizer("merges.txt", absl::StrCat("line ", line_number, " is '", line,
                                                         "', expected two tokens and one space"));
    }
    out.merges.emplace_back(std::string(line.substr(0, space)),
                            std::string(line.substr(space + 1)));
  }
  return absl::OkStatus();
}

// Drops every token that a later one replaces, if that is number `first_new` or a later one: one of
// the same content or id.
void DropReplaced(size_t first_new, std::vector<AddedToken>& tokens) {
  absl::flat_hash_set<TokenId> ids;
  absl::flat_hash_set<std::string> contents;
  std::vector<AddedToken> kept;
  for (size_t i = tokens.size(); i-- > 0;) {
    AddedToken& token = tokens[i];
    const bool replaced = ids.contains(token.id) || contents.contains(token.content);
    if (i >= first_new) {
      ids.insert(token.id);
      contents.insert(token.content);
    }
    if (!replaced) kept.push_back(std::move(token));
  }
  std::reverse(kept.begin(), kept.end());
  tokens = std::move(kept);
}

// added_tokens.json, {"content": id}: only where tokenizer_config.json has no added_tokens_decoder.
absl::Status ReadLegacyAddedTokens(const std::string& text, TokenizerDescription& out) {
  SDAR_ASSIGN_OR_RETURN(const Json root,
                        ParseJson(text, "added_tokens.json", 64, false, kMaxJsonFileValues));
  std::vector<std::pair<std::string, TokenId>> entries;
  SDAR_RETURN_IF_ERROR(ReadVocab(root, "added_tokens.json", entries));
  const size_t first_new = out.added_tokens.size();
  for (auto& [content, id] : entries) {
    if (content.empty()) return InvalidTokenizer("added_tokens.json", "a token is empty");
    AddedToken token;
    token.id = id;
    token.content = std::move(content);
    out.added_tokens.push_back(std::move(token));
  }
  DropReplaced(first_new, out.added_tokens);
  return absl::OkStatus();
}

absl::Status ReadAddedTokensDecoder(const Json& decoder, TokenizerDescription& out) {
  if (!decoder.is_object())
    return InvalidTokenizer(kConfig, "added_tokens_decoder is not an object");
  const size_t first_new = out.added_tokens.size();
  for (const auto& [key, entry] : decoder.items()) {
    AddedToken token;
    if (!absl::SimpleAtoi(key, &token.id) || token.id < 0 ||
        token.id == std::numeric_limits<TokenId>::max()) {
      return InvalidTokenizer(kConfig, absl::StrCat("added_tokens_decoder has the key '", key,
                                                    "', expected a token id"));
    }
    SDAR_RETURN_IF_ERROR(ReadAddedToken(entry, kConfig, token));
    out.added_tokens.push_back(std::move(token));
  }
  DropReplaced(first_new, out.added_tokens);
  return absl::OkStatus();
}

// Settings that would change ids or text in ways this runtime does not follow.
absl::Status CheckConfig(const Json& config) {
  for (const char* key : {"add_prefix_space", "add_bos_token", "add_eos_token",
                          "split_special_tokens", "clean_up_tokenization_spaces"}) {
    if (config.contains(key) && config[key] == true) {
      return InvalidTokenizer(kConfig, absl::StrCat(key, " true is not supported"));
    }
  }
  if (config.contains("errors") && config["errors"] != "replace") {
    return InvalidTokenizer(kConfig, absl::StrCat("errors ", DumpJson(config["errors"]),
                                                  " is not supported; expected \"replace\""));
  }
  return absl::OkStatus();
}

// A named token is a string or an object with "content"; null and anything else name none.
std::optional<std::string> NamedToken(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("content") && value["content"].is_string()) {
    return value["content"].get<std::string>();
  }
  return std::nullopt;
}

std::vector<std::string> NamedTokens(const Json& config) {
  std::vector<std::string> names;
  const auto add = [&](const Json& value) {
    if (auto name = NamedToken(value)) names.push_back(*std::move(name));
  };
  for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                          "cls_token", "mask_token"}) {
    if (config.contains(key)) add(config[key]);
  }
  // The second name is that of transformers 5, where it may be an object of named tokens.
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    if (!config.contains(key) || !config[key].is_structured()) continue;
    for (const Json& value : config[key]) add(value);
  }
  return names;
}

// Named tokens are special; one that is an ordinary entry of the vocabulary becomes an added token.
void MarkSpecial(const std::vector<std::string>& names, TokenizerDescription& out) {
  // The first of equal entries counts.
  absl::flat_hash_map<absl::string_view, TokenId> vocab;
  vocab.reserve(out.vocab.size());
  for (const auto& [content, id] : out.vocab) vocab.try_emplace(content, id);
  absl::flat_hash_map<std::string, size_t> added;
  for (size_t i = 0; i < out.added_tokens.size(); ++i) {
    added.try_emplace(out.added_tokens[i].content, i);
  }
  for (const std::string& name : names) {
    if (const auto found = added.find(name); found != added.end()) {
      out.added_tokens[found->second].special = true;
      continue;
    }
    const auto entry = vocab.find(name);
    if (entry == vocab.end() || name.empty()) continue;
    AddedToken token;
    token.id = entry->second;
    token.content = name;
    token.special = true;
    added.emplace(name, out.added_tokens.size());
    out.added_tokens.push_back(std::move(token));
  }
}

absl::Status ReadConfig(const TokenizerFiles& files, TokenizerDescription& out) {
  Json config = Json::object();
  if (files.tokenizer_config_json.has_value()) {
    SDAR_ASSIGN_OR_RETURN(
        config, ParseJson(*files.tokenizer_config_json, kConfig, 64, false, kMaxJsonFileValues));
    if (!config.is_object()) return InvalidTokenizer(kConfig, "expected an object");
  }
  SDAR_RETURN_IF_ERROR(CheckConfig(config));
  if (config.contains("added_tokens_decoder")) {
    SDAR_RETURN_IF_ERROR(ReadAddedTokensDecoder(config["added_tokens_decoder"], out));
  } else if (files.added_tokens_json.has_value() && !files.tokenizer_json.has_value()) {
    SDAR_RETURN_IF_ERROR(ReadLegacyAddedTokens(*files.added_tokens_json, out));
  }
  MarkSpecial(NamedTokens(config), out);
  if (config.contains("mask_token")) out.mask_token = NamedToken(config["mask_token"]);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerFiles> ReadTokenizerFiles(const std::string& folder) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    return absl::NotFoundError(absl::StrCat(
        "'", folder, "' is not a folder; models load from a local folder, not by a hub name"));
  }
  TokenizerFiles files;
  SDAR_ASSIGN_OR_RETURN(files.tokenizer_json, ReadIfPresent(folder, "tokenizer.json"));
  SDAR_ASSIGN_OR_RETURN(files.tokenizer_config_json,
                        ReadIfPresent(folder, "tokenizer_config.json"));
  if (files.tokenizer_json.has_value()) return files;
  SDAR_ASSIGN_OR_RETURN(files.vocab_json, ReadIfPresent(folder, "vocab.json"));
  SDAR_ASSIGN_OR_RETURN(files.merges_txt, ReadIfPresent(folder, "merges.txt"));
  SDAR_ASSIGN_OR_RETURN(files.added_tokens_json, ReadIfPresent(folder, "added_tokens.json"));
  if (!files.vocab_json.has_value() || !files.merges_txt.has_value()) {
    return absl::NotFoundError(absl::StrCat(
        folder, ": no tokenizer here; expected tokenizer.json, or vocab.json and merges.txt"));
  }
  return files;
}

absl::StatusOr<TokenizerDescription> DescribeTokenizer(const TokenizerFiles& files) {
  TokenizerDescription description;
  if (files.tokenizer_json.has_value()) {
    SDAR_RETURN_IF_ERROR(ReadTokenizerJson(*files.tokenizer_json, description));
  } else if (files.vocab_json.has_value() && files.merges_txt.has_value()) {
    SDAR_ASSIGN_OR_RETURN(const Json vocab, ParseJson(*files.vocab_json, "vocab.json", 64, false,
                                                      kMaxJsonFileValues));
    SDAR_RETURN_IF_ERROR(ReadVocab(vocab, "vocab.json", description.vocab));
    SDAR_RETURN_IF_ERROR(ReadMergesText(*files.merges_txt, description));
    description.patterns.emplace_back(Pretokenizer::Qwen2Pattern());
    description.nfc = true;
  } else {
    return absl::NotFoundError("no tokenizer.json, and not both vocab.json and merges.txt");
  }
  SDAR_RETURN_IF_ERROR(ReadConfig(files, description));
  return description;
}

}  // namespace sdar
