// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/answers/chat_answer.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "runtime/server/api/answers/openai_chunks.h"
#include "runtime/server/api/answers/sample_reader.h"
#include "runtime/server/api/answers/token_logprobs.h"

namespace sdar {
namespace {

using sdar::v1::GenerateResponse;

class ChatAnswer {
 public:
  ChatAnswer(const ApiCall& call, AnswerIdentity identity, const Tokenizer& tokenizer)
      : with_logprobs_(call.call.fields.logprobs.has_value()),
        return_token_ids_(call.return_token_ids),
        prompt_(call.prompts[0]),
        tokenizer_(tokenizer),
        chunks_(call, std::move(identity), "chat.completion", "chat.completion.chunk") {
    for (size_t i = 0; i < call.samples_per_prompt(); ++i) choices_.emplace_back(call);
  }

  std::string Take(const GenerateResponse& response);
  std::string End(const absl::Status& status) const { return chunks_.End(status); }
  Json Body() const;

 private:
  struct Choice {
    explicit Choice(const ApiCall& call) : reader(call) {}
    SampleReader reader;
    bool begun = false;  // a chunk of it was made
    int64_t num_tool_calls = 0;
    std::string text;  // content; this and the next are kept for a body alone
    std::string reasoning;
    Json tool_calls = Json::array();
    Json logprobs;  // null: none are wanted, or none came
    Json token_ids = Json::array();
  };

  void Keep(const OutputPiece& piece, const GenerateResponse& response, Choice& choice);
  std::string Chunk(const OutputPiece& piece, const GenerateResponse& response, Choice& choice);
  Json Delta(const OutputPiece& piece, Choice& choice) const;
  Json Logprobs(const GenerateResponse& response) const;
  Json NewToolCall(const Choice& choice, const ToolCall& call) const;
  Json ChoiceJson(const Choice& choice) const;
  size_t IndexOf(const Choice& choice) const {
    return static_cast<size_t>(&choice - choices_.data());
  }

  const bool with_logprobs_;
  const bool return_token_ids_;
  const std::vector<TokenId> prompt_;
  const Tokenizer& tokenizer_;
  OpenAiChunks chunks_;
  std::vector<Choice> choices_;
};

std::string ChatAnswer::Take(const GenerateResponse& response) {
  if (response.has_provisional()) {
    return chunks_.stream() ? chunks_.Provisional(0, response.provisional()) : "";
  }
  const bool ends = response.has_finished();
  Choice& choice = choices_[ends ? response.finished().index() : response.delta().index()];
  const OutputPiece piece = choice.reader.Take(response);
  chunks_.usage().CountTokens(response.delta().token_ids_size());
  if (ends) chunks_.usage().AddSample(0, response.finished().usage());
  if (chunks_.stream()) return Chunk(piece, response, choice);
  Keep(piece, response, choice);
  return "";
}

Json ChatAnswer::Logprobs(const GenerateResponse& response) const {
  if (!with_logprobs_ || response.delta().token_ids_size() == 0) return nullptr;
  return ChatLogprobs(response.delta(), tokenizer_);
}

// A call without its arguments, the last that has begun.
Json ChatAnswer::NewToolCall(const Choice& choice, const ToolCall& call) const {
  const int64_t number = choice.num_tool_calls - 1;
  return {{"id", absl::StrCat("call-", chunks_.id(), "-", IndexOf(choice), "-", number)},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

void ChatAnswer::Keep(const OutputPiece& piece, const GenerateResponse& response, Choice& choice) {
  choice.text += piece.content;
  choice.reasoning += piece.reasoning;
  for (const ToolCall& call : piece.tool_calls) {
    ++choice.num_tool_calls;
    choice.tool_calls.push_back(NewToolCall(choice, call));
  }
  AppendLogprobs(Logprobs(response), choice.logprobs);
  if (!return_token_ids_) return;
  for (const uint32_t id : response.delta().token_ids()) choice.token_ids.push_back(id);
}

Json ChatAnswer::Delta(const OutputPiece& piece, Choice& choice) const {
  Json delta = Json::object();
  if (!choice.begun) delta["role"] = "assistant";
  if (!piece.reasoning.empty()) delta["reasoning_content"] = piece.reasoning;
  if (!piece.content.empty() || !choice.begun) delta["content"] = piece.content;
  for (const ToolCall& call : piece.tool_calls) {
    const bool begins = !call.name.empty();
    if (begins) ++choice.num_tool_calls;
    Json json = {{"index", choice.num_tool_calls - 1}};
    if (begins) {
      json.update(NewToolCall(choice, call));
    } else {
      json["function"] = {{"arguments", call.arguments}};
    }
    delta["tool_calls"].push_back(std::move(json));
  }
  return delta;
}

std::string ChatAnswer::Chunk(const OutputPiece& piece, const GenerateResponse& response,
                              Choice& choice) {
  const Json logprobs = Logprobs(response);
  const bool ends = response.has_finished();
  if (piece.empty() && logprobs.is_null() && !return_token_ids_ && !ends) return "";
  Json out = {{"index", IndexOf(choice)},
              {"delta", Delta(piece, choice)},
              {"logprobs", logprobs},
              {"finish_reason", choice.reader.finish_reason()}};
  if (ends) out["stop_reason"] = choice.reader.stop_reason();
  if (return_token_ids_) {
    out["token_ids"] = response.delta().token_ids();
    if (!choice.begun) out["prompt_token_ids"] = prompt_;
  }
  choice.begun = true;
  return chunks_.Chunk(std::move(out));
}

Json ChatAnswer::ChoiceJson(const Choice& choice) const {
  Json message = {{"role", "assistant"}, {"content", choice.text}};
  if (!choice.reasoning.empty()) message["reasoning_content"] = choice.reasoning;
  if (!choice.tool_calls.empty()) {
    message["tool_calls"] = choice.tool_calls;
    if (choice.text.empty()) message["content"] = nullptr;
  }
  Json out = {{"index", IndexOf(choice)},
              {"message", std::move(message)},
              {"logprobs", choice.logprobs},
              {"finish_reason", choice.reader.finish_reason()},
              {"stop_reason", choice.reader.stop_reason()}};
  if (return_token_ids_) out["token_ids"] = choice.token_ids;
  return out;
}

Json ChatAnswer::Body() const {
  Json choices = Json::array();
  for (const Choice& choice : choices_) choices.push_back(ChoiceJson(choice));
  Json body = chunks_.Body(std::move(choices));
  if (return_token_ids_) body["prompt_token_ids"] = prompt_;
  return body;
}

}  // namespace

AnswerForm MakeChatAnswer(const ApiCall& call, AnswerIdentity identity,
                          const Tokenizer& tokenizer) {
  return FormOf(std::make_shared<ChatAnswer>(call, std::move(identity), tokenizer));
}

}  // namespace sdar
