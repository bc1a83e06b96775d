// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/answers/token_logprobs.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "common/utf8.h"

namespace sdar {
namespace {

// JSON has no infinity; this is what OpenAI's API gives for a token that could not be.
constexpr double kLeastLogprob = -9999;

double Finite(float logprob) { return std::max(double{logprob}, kLeastLogprob); }

bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

Json ChatEntry(absl::string_view bytes, float logprob) {
  Json list = Json::array();
  for (const char byte : bytes) list.push_back(static_cast<unsigned char>(byte));
  return {{"token", TokenName(bytes)}, {"logprob", Finite(logprob)}, {"bytes", std::move(list)}};
}

absl::string_view BytesOf(const Tokenizer& tokenizer, uint32_t id) {
  return tokenizer.TokenBytes(static_cast<TokenId>(id));
}

Json EmptyLogprobs() {
  return {{"tokens", Json::array()},
          {"token_logprobs", Json::array()},
          {"top_logprobs", Json::array()},
          {"text_offset", Json::array()}};
}

// The alternatives of a scored token; an empty list where none were asked for.
const sdar::v1::Delta::Top& TopOf(const sdar::v1::ScoreResponse& scores, int index) {
  return index < scores.top_size() ? scores.top(index) : sdar::v1::Delta::Top::default_instance();
}

}  // namespace

std::string TokenName(absl::string_view bytes) {
  if (IsValidUtf8(bytes)) return std::string(bytes);
  std::string name = "bytes:";
  for (const char byte : bytes) {
    absl::StrAppendFormat(&name, "\\x%02x", static_cast<unsigned char>(byte));
  }
  return name;
}

Json ChatLogprobs(const sdar::v1::Delta& delta, const Tokenizer& tokenizer) {
  Json content = Json::array();
  for (int i = 0; i < delta.token_ids_size(); ++i) {
    Json token = ChatEntry(BytesOf(tokenizer, delta.token_ids(i)), delta.logprobs(i));
    token["top_logprobs"] = Json::array();
    for (const sdar::v1::TokenLogprob& other : delta.top(i).alternatives()) {
      token["top_logprobs"].push_back(ChatEntry(BytesOf(tokenizer, other.id()), other.logprob()));
    }
    content.push_back(std::move(token));
  }
  return {{"content", std::move(content)}};
}

// The offset of a token, whose characters are then passed.
size_t CompletionLogprobs::Pass(absl::string_view bytes) {
  const bool within = !bytes.empty() && IsContinuation(bytes[0]) && characters_ > 0;
  const size_t offset = characters_ - (within ? 1 : 0);
  characters_ += static_cast<size_t>(
      std::count_if(bytes.begin(), bytes.end(), [](char byte) { return !IsContinuation(byte); }));
  return offset;
}

void CompletionLogprobs::Append(const Token& token, Json& out) {
  const absl::string_view bytes = tokenizer_.TokenBytes(token.id);
  const std::string name = TokenName(bytes);
  out["tokens"].push_back(name);
  const bool known = token.top != nullptr;
  out["token_logprobs"].push_back(known ? Json(Finite(token.logprob)) : Json());
  Json top;
  if (known) {
    top = {{name, Finite(token.logprob)}};
    for (const sdar::v1::TokenLogprob& other : token.top->alternatives()) {
      top[TokenName(BytesOf(tokenizer_, other.id()))] = Finite(other.logprob());
    }
  }
  out["top_logprobs"].push_back(std::move(top));
  out["text_offset"].push_back(Pass(token.shown ? bytes : absl::string_view()));
}

Json CompletionLogprobs::TakePrompt(const sdar::v1::ScoreResponse& scores) {
  Json out = EmptyLogprobs();
  for (int i = 0; i < scores.token_ids_size(); ++i) {
    const auto id = static_cast<TokenId>(scores.token_ids(i));
    Append({id, scores.logprobs(i), i == 0 ? nullptr : &TopOf(scores, i), true}, out);
  }
  return out;
}

void CompletionLogprobs::SkipPrompt(absl::Span<const TokenId> ids) {
  for (const TokenId id : ids) Pass(tokenizer_.TokenBytes(id));
}

Json CompletionLogprobs::Take(const sdar::v1::Delta& delta) {
  Json out = EmptyLogprobs();
  for (int i = 0; i < delta.token_ids_size(); ++i) {
    const auto id = static_cast<TokenId>(delta.token_ids(i));
    const bool shown = !skip_special_ || !tokenizer_.IsSpecial(id);
    Append({id, delta.logprobs(i), &delta.top(i), shown}, out);
  }
  return out;
}

void AppendLogprobs(const Json& more, Json& to) {
  if (more.is_null()) return;
  if (to.is_null()) {
    to = more;
    return;
  }
  for (const auto& [key, list] : more.items()) {
    for (const Json& element : list) to[key].push_back(element);
  }
}

Json PromptLogprobs(const sdar::v1::ScoreResponse& scores, const Tokenizer& tokenizer) {
  Json out = Json::array();
  for (int i = 0; i < scores.token_ids_size(); ++i) {
    if (i == 0) {
      out.push_back(nullptr);
      continue;
    }
    Json entries = Json::object();
    const auto add = [&](uint32_t id, float logprob, Json rank) {
      entries[absl::StrCat(id)] = {{"logprob", Finite(logprob)},
                                   {"rank", std::move(rank)},
                                   {"decoded_token", TokenName(BytesOf(tokenizer, id))}};
    };
    add(scores.token_ids(i), scores.logprobs(i), scores.greedy(i) ? Json(1) : Json());
    int64_t rank = 1;
    for (const sdar::v1::TokenLogprob& other : TopOf(scores, i).alternatives()) {
      add(other.id(), other.logprob(), rank++);
    }
    out.push_back(std::move(entries));
  }
  return out;
}

}  // namespace sdar
