// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/http/openai_answer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sdar {
namespace {

using sdar::v1::GenerateResponse;

// JSON has no infinity; this is what OpenAI's API gives for a token that could not be.
constexpr double kLeastLogprob = -9999;

double Finite(double logprob) { return std::max(logprob, kLeastLogprob); }

Json BytesOf(absl::string_view text) {
  Json bytes = Json::array();
  for (char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

// Two logprobs objects of a completion, or of a chat, one after the other.
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

}  // namespace

OpenAiAnswer::OpenAiAnswer(const OpenAiCall& call, std::string id, int64_t created,
                           const Tokenizer& tokenizer)
    : chat_(call.chat),
      with_logprobs_(call.call.fields.logprobs.has_value()),
      model_(call.model),
      id_(std::move(id)),
      created_(created),
      tokenizer_(tokenizer) {
  for (int64_t i = 0; i < call.call.fields.n.value_or(1); ++i)
    choices_.emplace_back(call.splitting);
}

std::string OpenAiAnswer::TokenText(uint32_t id) const {
  return std::string(tokenizer_.TokenBytes(static_cast<TokenId>(id)));
}

Json OpenAiAnswer::ChatLogprobs(const sdar::v1::Delta& delta) const {
  const auto entry = [this](uint32_t id, double logprob) {
    const std::string text = TokenText(id);
    return Json{{"token", text}, {"logprob", Finite(logprob)}, {"bytes", BytesOf(text)}};
  };
  Json content = Json::array();
  for (int i = 0; i < delta.token_ids_size(); ++i) {
    Json token = entry(delta.token_ids(i), double{delta.logprobs(i)});
    token["top_logprobs"] = Json::array();
    for (const sdar::v1::TokenLogprob& other : delta.top(i).alternatives()) {
      token["top_logprobs"].push_back(entry(other.id(), double{other.logprob()}));
    }
    content.push_back(std::move(token));
  }
  return {{"content", std::move(content)}};
}

Json OpenAiAnswer::CompletionLogprobs(const sdar::v1::Delta& delta, size_t text_offset) const {
  Json out = {{"tokens", Json::array()},
              {"token_logprobs", Json::array()},
              {"top_logprobs", Json::array()},
              {"text_offset", Json::array()}};
  for (int i = 0; i < delta.token_ids_size(); ++i) {
    const std::string text = TokenText(delta.token_ids(i));
    out["tokens"].push_back(text);
    out["token_logprobs"].push_back(Finite(double{delta.logprobs(i)}));
    Json top = Json::object();
    for (const sdar::v1::TokenLogprob& other : delta.top(i).alternatives()) {
      top[TokenText(other.id())] = Finite(double{other.logprob()});
    }
    out["top_logprobs"].push_back(std::move(top));
    out["text_offset"].push_back(text_offset);
    text_offset += text.size();
  }
  return out;
}

Json OpenAiAnswer::Logprobs(const sdar::v1::Delta& delta, const Choice& choice) const {
  if (!with_logprobs_ || delta.token_ids_size() == 0) return nullptr;
  return chat_ ? ChatLogprobs(delta) : CompletionLogprobs(delta, choice.text_bytes);
}

void OpenAiAnswer::Finish(const sdar::v1::Finished& finished, Choice& choice) {
  const bool stopped = finished.reason() == sdar::v1::Finished::STOP;
  choice.finish_reason = !stopped ? "length" : choice.num_tool_calls > 0 ? "tool_calls" : "stop";
  if (finished.stop_reason_case() == sdar::v1::Finished::kStopTokenId) {
    choice.stop_reason = finished.stop_token_id();
  } else if (finished.stop_reason_case() == sdar::v1::Finished::kStopString) {
    choice.stop_reason = finished.stop_string();
  }
  const sdar::v1::Usage& usage = finished.usage();
  prompt_tokens_ = usage.prompt_tokens();
  cached_tokens_ = std::max<int64_t>(cached_tokens_, usage.cached_tokens());
  completion_tokens_ += usage.completion_tokens();
  denoising_steps_ += usage.denoising_steps();
  forward_passes_ += usage.forward_passes();
}

OpenAiAnswer::News OpenAiAnswer::Take(const GenerateResponse& response, Choice& choice) {
  News news;
  if (response.has_delta()) {
    const std::string& text = response.delta().text();
    news.logprobs = Logprobs(response.delta(), choice);
    choice.text_bytes += text.size();
    if (chat_) {
      news.piece = choice.splitter.Push(text);
    } else {
      news.piece.content = text;
    }
  } else if (response.has_finished()) {
    if (chat_) news.piece = choice.splitter.Flush();
    news.finished = true;
  }
  choice.num_tool_calls += static_cast<int64_t>(news.piece.tool_calls.size());
  if (response.has_finished()) Finish(response.finished(), choice);
  return news;
}

Json OpenAiAnswer::Envelope(const char* object) const {
  return {{"id", id_}, {"object", object}, {"created", created_}, {"model", model_}};
}

Json OpenAiAnswer::Usage() const {
  return {{"prompt_tokens", prompt_tokens_},
          {"completion_tokens", completion_tokens_},
          {"total_tokens", prompt_tokens_ + completion_tokens_},
          {"prompt_tokens_details", {{"cached_tokens", cached_tokens_}}},
          {"denoising_steps", denoising_steps_},
          {"forward_passes", forward_passes_}};
}

Json OpenAiAnswer::ToolCallJson(const ToolCall& call, size_t choice, int64_t number) const {
  return {{"id", absl::StrCat("call-", id_, "-", choice, "-", number)},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

Json OpenAiAnswer::ChatDelta(const News& news, Choice& choice) const {
  Json delta = Json::object();
  if (!choice.begun) delta["role"] = "assistant";
  if (!news.piece.reasoning.empty()) delta["reasoning_content"] = news.piece.reasoning;
  if (!news.piece.content.empty() || !choice.begun) delta["content"] = news.piece.content;
  int64_t number = choice.num_tool_calls - static_cast<int64_t>(news.piece.tool_calls.size());
  const auto index = static_cast<size_t>(&choice - choices_.data());
  for (const ToolCall& call : news.piece.tool_calls) {
    Json json = {{"index", number}};
    json.update(ToolCallJson(call, index, number++));
    delta["tool_calls"].push_back(std::move(json));
  }
  return delta;
}

Json OpenAiAnswer::ProvisionalChunk(const sdar::v1::Provisional& provisional) const {
  Json positions = Json::array();
  for (const sdar::v1::Provisional::Position& position : provisional.positions()) {
    positions.push_back({{"position", position.position()},
                         {"masked", position.masked()},
                         {"token_id", position.token_id()},
                         {"text", position.text()},
                         {"confidence", position.confidence()}});
  }
  Json chunk = Envelope(chat_ ? "chat.completion.chunk" : "text_completion");
  chunk["choices"] = Json::array();
  chunk["provisional"] = {{"index", provisional.index()},
                          {"block", provisional.block()},
                          {"step", provisional.step()},
                          {"positions", std::move(positions)}};
  return chunk;
}

std::vector<Json> OpenAiAnswer::Chunks(const GenerateResponse& response) {
  if (response.has_provisional()) return {ProvisionalChunk(response.provisional())};
  const size_t index =
      response.has_delta() ? response.delta().index() : response.finished().index();
  Choice& choice = choices_[index];
  const News news = Take(response, choice);
  if (news.piece.empty() && news.logprobs.is_null() && !news.finished) return {};
  Json out = {{"index", index}};
  if (chat_) {
    out["delta"] = ChatDelta(news, choice);
  } else {
    out["text"] = news.piece.content;
  }
  out["logprobs"] = news.logprobs;
  out["finish_reason"] = choice.finish_reason;
  if (news.finished) out["stop_reason"] = choice.stop_reason;
  choice.begun = true;
  Json chunk = Envelope(chat_ ? "chat.completion.chunk" : "text_completion");
  chunk["choices"] = Json::array({std::move(out)});
  return {std::move(chunk)};
}

Json OpenAiAnswer::UsageChunk() const {
  Json chunk = Envelope(chat_ ? "chat.completion.chunk" : "text_completion");
  chunk["choices"] = Json::array();
  chunk["usage"] = Usage();
  return chunk;
}

void OpenAiAnswer::Add(const GenerateResponse& response) {
  if (response.has_provisional()) return;
  const size_t index =
      response.has_delta() ? response.delta().index() : response.finished().index();
  Choice& choice = choices_[index];
  const News news = Take(response, choice);
  choice.text += news.piece.content;
  choice.reasoning += news.piece.reasoning;
  for (const ToolCall& call : news.piece.tool_calls) {
    const auto number = static_cast<int64_t>(choice.tool_calls.size());
    choice.tool_calls.push_back(ToolCallJson(call, index, number));
  }
  AppendLogprobs(news.logprobs, choice.logprobs);
}

Json OpenAiAnswer::Body() const {
  Json choices = Json::array();
  for (size_t i = 0; i < choices_.size(); ++i) {
    const Choice& choice = choices_[i];
    Json out = {{"index", i}};
    if (chat_) {
      Json message = {{"role", "assistant"}, {"content", choice.text}};
      if (!choice.reasoning.empty()) message["reasoning_content"] = choice.reasoning;
      if (!choice.tool_calls.empty()) {
        message["tool_calls"] = choice.tool_calls;
        if (choice.text.empty()) message["content"] = nullptr;
      }
      out["message"] = std::move(message);
    } else {
      out["text"] = choice.text;
    }
    out["logprobs"] = choice.logprobs;
    out["finish_reason"] = choice.finish_reason;
    out["stop_reason"] = choice.stop_reason;
    choices.push_back(std::move(out));
  }
  Json body = Envelope(chat_ ? "chat.completion" : "text_completion");
  body["choices"] = std::move(choices);
  body["usage"] = Usage();
  return body;
}

}  // namespace sdar
