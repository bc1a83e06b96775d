// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/answers/completion_answer.h"

#include <memory>
#include <utility>
#include <vector>

#include "runtime/server/api/answers/openai_chunks.h"
#include "runtime/server/api/answers/sample_reader.h"
#include "runtime/server/api/answers/token_logprobs.h"

namespace sdar {
namespace {

using sdar::v1::GenerateResponse;
using sdar::v1::ScoreResponse;

class CompletionAnswer {
 public:
  CompletionAnswer(const ApiCall& call, AnswerIdentity identity, const Tokenizer& tokenizer);

  std::string Take(size_t prompt, const GenerateResponse& response);
  std::string TakeScores(size_t prompt, const ScoreResponse& scores);
  std::string End(const absl::Status& status) const { return chunks_.End(status); }
  Json Body() const;

 private:
  struct Choice {
    Choice(const ApiCall& call, const CompletionLogprobs& offsets)
        : reader(call), logprobs(offsets) {}
    SampleReader reader;
    CompletionLogprobs logprobs;
    bool begun = false;         // the prompt's echo is over
    Json out = Json::object();  // of a body: what has come so far
  };

  Json Begin(size_t index);
  Json TakeDelta(size_t index, const GenerateResponse& response);
  std::string Say(Json news);
  void Keep(Json news);

  const ApiCall call_;
  const Tokenizer& tokenizer_;
  OpenAiChunks chunks_;
  std::vector<Choice> choices_;
};

CompletionAnswer::CompletionAnswer(const ApiCall& call, AnswerIdentity identity,
                                   const Tokenizer& tokenizer)
    : call_(call),
      tokenizer_(tokenizer),
      chunks_(call, std::move(identity), "text_completion", "text_completion") {
  const bool skip_special = call.call.fields.skip_special_tokens.value_or(true);
  const size_t count = call.prompts.size() * call.samples_per_prompt();
  for (size_t i = 0; i < count; ++i) {
    choices_.emplace_back(call, CompletionLogprobs(tokenizer, skip_special));
  }
}

// The first news of a choice: the prompt, where that is wanted.
Json CompletionAnswer::Begin(size_t index) {
  const std::vector<TokenId>& prompt = call_.prompts[index / call_.samples_per_prompt()];
  Json news = {{"index", index}, {"text", ""}, {"logprobs", nullptr}};
  if (call_.echo) news["text"] = tokenizer_.Decode(prompt, false);
  if (call_.return_token_ids) {
    news["prompt_token_ids"] = prompt;
    news["token_ids"] = Json::array();
  }
  return news;
}

Json CompletionAnswer::TakeDelta(size_t index, const GenerateResponse& response) {
  Choice& choice = choices_[index];
  Json news;
  if (!choice.begun) {
    choice.begun = true;
    news = Begin(index);
    if (call_.echo) {
      choice.logprobs.SkipPrompt(call_.prompts[index / call_.samples_per_prompt()]);
    }
  } else {
    news = {{"index", index}, {"text", ""}, {"logprobs", nullptr}};
  }
  news["text"].get_ref<std::string&>() += choice.reader.Take(response).content;
  const sdar::v1::Delta& delta = response.delta();
  if (call_.call.fields.logprobs && delta.token_ids_size() > 0) {
    news["logprobs"] = choice.logprobs.Take(delta);
  }
  if (call_.return_token_ids) news["token_ids"] = delta.token_ids();
  news["finish_reason"] = choice.reader.finish_reason();
  if (choice.reader.finished()) news["stop_reason"] = choice.reader.stop_reason();
  return news;
}

std::string CompletionAnswer::Take(size_t prompt, const GenerateResponse& response) {
  if (response.has_provisional()) {
    return chunks_.stream() ? chunks_.Provisional(prompt, response.provisional()) : "";
  }
  const bool ends = response.has_finished();
  const size_t sample = ends ? response.finished().index() : response.delta().index();
  chunks_.usage().CountTokens(response.delta().token_ids_size());
  if (ends) chunks_.usage().AddSample(prompt, response.finished().usage());
  Json news = TakeDelta(prompt * call_.samples_per_prompt() + sample, response);
  const bool silent =
      news["text"] == "" && news["logprobs"].is_null() && !ends && !call_.return_token_ids;
  return silent ? "" : Say(std::move(news));
}

std::string CompletionAnswer::TakeScores(size_t prompt, const ScoreResponse& scores) {
  chunks_.usage().AddScores(scores.usage());
  std::string events;
  for (size_t i = 0; i < call_.samples_per_prompt(); ++i) {
    const size_t index = prompt * call_.samples_per_prompt() + i;
    Choice& choice = choices_[index];
    Json news = Begin(index);
    choice.begun = true;
    if (call_.echo && call_.call.fields.logprobs) {
      news["logprobs"] = choice.logprobs.TakePrompt(scores);
    }
    if (call_.prompt_logprobs) news["prompt_logprobs"] = PromptLogprobs(scores, tokenizer_);
    news["finish_reason"] = call_.generates ? Json() : Json("length");
    if (!call_.generates) news["stop_reason"] = nullptr;
    events += Say(std::move(news));
  }
  return events;
}

std::string CompletionAnswer::Say(Json news) {
  if (chunks_.stream()) return chunks_.Chunk(std::move(news));
  Keep(std::move(news));
  return "";
}

void CompletionAnswer::Keep(Json news) {
  Json& out = choices_[news["index"].get<size_t>()].out;
  if (out.empty()) {
    out = std::move(news);
    return;
  }
  out["text"].get_ref<std::string&>() += news["text"].get_ref<const std::string&>();
  AppendLogprobs(news["logprobs"], out["logprobs"]);
  if (call_.return_token_ids) {
    for (Json& id : news["token_ids"]) out["token_ids"].push_back(std::move(id));
  }
  out["finish_reason"] = news["finish_reason"];
  if (news.contains("stop_reason")) out["stop_reason"] = news["stop_reason"];
}

Json CompletionAnswer::Body() const {
  Json choices = Json::array();
  for (const Choice& choice : choices_) choices.push_back(choice.out);
  return chunks_.Body(std::move(choices));
}

}  // namespace

AnswerForm MakeCompletionAnswer(const ApiCall& call, AnswerIdentity identity,
                                const Tokenizer& tokenizer) {
  const auto answer = std::make_shared<CompletionAnswer>(call, std::move(identity), tokenizer);
  AnswerForm form;
  form.take = [answer](size_t prompt, const GenerateResponse& response) {
    return answer->Take(prompt, response);
  };
  form.take_scores = [answer](size_t prompt, const ScoreResponse& scores) {
    return answer->TakeScores(prompt, scores);
  };
  form.end = [answer](const absl::Status& status) { return answer->End(status); };
  form.body = [answer] { return answer->Body(); };
  return form;
}

}  // namespace sdar
