// SPDX-License-Identifier: Apache-2.0
#include "runtime/text/tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/shorten.h"
#include "common/status_macros.h"
#include "common/utf8.h"
#include "runtime/text/byte_alphabet.h"
#include "runtime/text/normalizer.h"

namespace sdar {
namespace {

// The largest id that is believed; models have a few hundred thousand tokens.
constexpr TokenId kMaxTokenId = (1 << 24) - 1;

absl::Status CheckId(absl::string_view token, TokenId id) {
  if (id >= 0 && id <= kMaxTokenId) return absl::OkStatus();
  return ShortInvalidArgument(
      absl::StrCat("token '", token, "' has id ", id, ", expected at most ", kMaxTokenId));
}

}  // namespace

absl::StatusOr<Tokenizer> Tokenizer::Load(const std::string& folder) {
  SDAR_ASSIGN_OR_RETURN(const TokenizerFiles files, ReadTokenizerFiles(folder));
  absl::StatusOr<Tokenizer> tokenizer = FromFiles(files);
  if (tokenizer.ok()) return tokenizer;
  const absl::Status& status = tokenizer.status();
  return absl::Status(status.code(), absl::StrCat(folder, ": ", status.message()));
}

absl::StatusOr<Tokenizer> Tokenizer::FromFiles(const TokenizerFiles& files) {
  SDAR_ASSIGN_OR_RETURN(const TokenizerDescription description, DescribeTokenizer(files));
  SDAR_ASSIGN_OR_RETURN(Pretokenizer pretokenizer, Pretokenizer::Create(description.patterns));
  Tokenizer tokenizer(std::move(pretokenizer));
  tokenizer.nfc_ = description.nfc;
  tokenizer.ignore_merges_ = description.ignore_merges;
  SDAR_RETURN_IF_ERROR(tokenizer.PlaceVocab(description));
  SDAR_RETURN_IF_ERROR(tokenizer.PlaceMerges(description));
  SDAR_RETURN_IF_ERROR(tokenizer.PlaceAddedTokens(description));
  if (description.mask_token.has_value()) {
    tokenizer.mask_token_ = tokenizer.FindToken(*description.mask_token);
  }
  return tokenizer;
}

absl::Status Tokenizer::PlaceVocab(const TokenizerDescription& description) {
  TokenId largest = -1;
  for (const auto& [token, id] : description.vocab) {
    SDAR_RETURN_IF_ERROR(CheckId(token, id));
    largest = std::max(largest, id);
  }
  entries_.resize(static_cast<size_t>(largest) + 1);
  id_of_bytes_.reserve(description.vocab.size());
  for (const auto& [token, id] : description.vocab) {
    Entry& entry = entries_[static_cast<size_t>(id)];
    if (entry.present) {
      return ShortInvalidArgument(
          absl::StrCat("the vocabulary has id ", id, " twice, the second time for '", token, "'"));
    }
    entry = {BytesOfToken(token), true, false};
    id_of_bytes_.try_emplace(entry.bytes, id);
  }
  return absl::OkStatus();
}

absl::Status Tokenizer::PlaceAddedTokens(const TokenizerDescription& description) {
  std::vector<AddedToken> raw;
  std::vector<AddedToken> normalized;
  for (AddedToken token : description.added_tokens) {
    SDAR_RETURN_IF_ERROR(CheckId(token.content, token.id));
    const auto index = static_cast<size_t>(token.id);
    if (index >= entries_.size()) entries_.resize(index + 1);
    Entry& entry = entries_[index];
    if (entry.present && entry.bytes != BytesOfToken(token.content)) {
      return ShortInvalidArgument(absl::StrCat("id ", token.id, " is the added token '",
                                               token.content, "' and the vocabulary's '",
                                               TokenOfBytes(entry.bytes), "'"));
    }
    if (entry.present && entry.bytes != token.content) id_of_bytes_.erase(entry.bytes);
    entry = {token.content, true, token.special};
    const auto [it, inserted] = id_of_bytes_.try_emplace(token.content, token.id);
    if (!inserted && it->second != token.id) {
      return ShortInvalidArgument(absl::StrCat("the added token '", token.content, "' has id ",
                                               token.id, ", but the vocabulary gives it ",
                                               it->second));
    }
    if (token.normalized && nfc_) token.content = NormalizeNfc(token.content);
    (token.normalized ? normalized : raw).push_back(std::move(token));
  }
  raw_matcher_ = AddedTokenMatcher(std::move(raw));
  normalized_matcher_ = AddedTokenMatcher(std::move(normalized));
  return absl::OkStatus();
}

absl::Status Tokenizer::PlaceMerges(const TokenizerDescription& description) {
  std::array<TokenId, 256> byte_tokens{};
  for (size_t byte = 0; byte < byte_tokens.size(); ++byte) {
    const std::string bytes(1, static_cast<char>(byte));
    const auto it = id_of_bytes_.find(bytes);
    if (it == id_of_bytes_.end()) {
      return ShortInvalidArgument(absl::StrCat("the vocabulary has no token for byte ", byte, ", '",
                                               TokenOfBytes(bytes),
                                               "'; a byte-level vocabulary has all 256"));
    }
    byte_tokens[byte] = it->second;
  }
  std::vector<BpeMerge> merges;
  merges.reserve(description.merges.size());
  for (const auto& [left, right] : description.merges) {
    const std::string left_bytes = BytesOfToken(left);
    const std::string right_bytes = BytesOfToken(right);
    const auto left_id = id_of_bytes_.find(left_bytes);
    const auto right_id = id_of_bytes_.find(right_bytes);
    const auto merged = id_of_bytes_.find(left_bytes + right_bytes);
    if (left_id == id_of_bytes_.end() || right_id == id_of_bytes_.end() ||
        merged == id_of_bytes_.end()) {
      return ShortInvalidArgument(absl::StrCat("merge ", merges.size(), ", '", left, " ", right,
                                               "', names a token that is not in the vocabulary"));
    }
    merges.push_back({left_id->second, right_id->second, merged->second});
  }
  merger_ = BpeMerger(byte_tokens, merges);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<TokenId>> Tokenizer::Encode(absl::string_view text) const {
  std::vector<TokenId> ids;
  if (IsValidUtf8(text)) {
    SDAR_RETURN_IF_ERROR(EncodeRaw(text, ids));
  } else {
    SDAR_RETURN_IF_ERROR(EncodeRaw(ReplaceInvalidUtf8(text), ids));
  }
  return ids;
}

absl::Status Tokenizer::EncodeRaw(absl::string_view text, std::vector<TokenId>& out) const {
  return raw_matcher_.Split(text, [&](const TextSegment& raw) -> absl::Status {
    if (raw.token >= 0) {
      out.push_back(raw.token);
      return absl::OkStatus();
    }
    if (nfc_ && !IsNfc(raw.text)) return EncodeNormalized(NormalizeNfc(raw.text), out);
    return EncodeNormalized(raw.text, out);
  });
}

absl::Status Tokenizer::EncodeNormalized(absl::string_view text, std::vector<TokenId>& out) const {
  return normalized_matcher_.Split(text, [&](const TextSegment& segment) -> absl::Status {
    if (segment.token < 0) return EncodeOrdinary(segment.text, out);
    out.push_back(segment.token);
    return absl::OkStatus();
  });
}

absl::Status Tokenizer::EncodeOrdinary(absl::string_view text, std::vector<TokenId>& out) const {
  BpeMerger::Scratch scratch;
  return pretokenizer_.Split(text, [&](absl::string_view word) {
    const auto whole = ignore_merges_ ? id_of_bytes_.find(word) : id_of_bytes_.end();
    if (whole != id_of_bytes_.end()) {
      out.push_back(whole->second);
    } else {
      merger_.Encode(word, scratch, out);
    }
  });
}

std::optional<size_t> Tokenizer::MaxTextBytes(int64_t num_tokens) const {
  // Composing (NFC) makes at most nine bytes three: the letters of a syllable of Hangul.
  constexpr size_t kMaxShrinking = 3;
  if (raw_matcher_.strips() || normalized_matcher_.strips()) return std::nullopt;
  size_t longest = 1;
  for (const Entry& entry : entries_) longest = std::max(longest, entry.bytes.size());
  return static_cast<size_t>(num_tokens) * longest * (nfc_ ? kMaxShrinking : 1);
}

std::string Tokenizer::Decode(absl::Span<const TokenId> ids, bool skip_special) const {
  std::string bytes;
  for (const TokenId id : ids) {
    if (skip_special && IsSpecial(id)) continue;
    const absl::string_view token = TokenBytes(id);
    bytes.append(token.data(), token.size());
  }
  return IsValidUtf8(bytes) ? bytes : ReplaceInvalidUtf8(bytes);
}

absl::string_view Tokenizer::TokenBytes(TokenId id) const {
  return HasToken(id) ? absl::string_view(entries_[static_cast<size_t>(id)].bytes)
                      : absl::string_view();
}

bool Tokenizer::HasToken(TokenId id) const {
  return id >= 0 && id < vocab_limit() && entries_[static_cast<size_t>(id)].present;
}

bool Tokenizer::IsSpecial(TokenId id) const {
  return HasToken(id) && entries_[static_cast<size_t>(id)].special;
}

std::optional<TokenId> Tokenizer::FindToken(absl::string_view content) const {
  const auto it = id_of_bytes_.find(content);
  return it == id_of_bytes_.end() ? std::nullopt : std::optional<TokenId>(it->second);
}

}  // namespace sdar
