// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/answers/score_answer.h"

#include <memory>
#include <utility>

#include "runtime/server/api/answers/answer_usage.h"

namespace sdar {
namespace {

Json ReadTop(const sdar::v1::ScoreResponse& scores) {
  Json all = Json::array();
  for (const sdar::v1::Delta::Top& top : scores.top()) {
    Json one = Json::array();
    for (const sdar::v1::TokenLogprob& other : top.alternatives()) {
      one.push_back({{"id", other.id()}, {"logprob", other.logprob()}});
    }
    all.push_back(std::move(one));
  }
  return all;
}

Json ScoreBody(const sdar::v1::ScoreResponse& scores, const std::string& model,
               const AnswerIdentity& identity, const AnswerUsage& usage) {
  Json greedy = Json::array();
  for (const bool one : scores.greedy()) greedy.push_back(one);
  Json body = {{"id", identity.id},
               {"object", "score"},
               {"created", identity.created},
               {"model", model},
               {"token_ids", scores.token_ids()},
               {"logprobs", scores.logprobs()},
               {"sum", scores.sum()},
               {"greedy", std::move(greedy)}};
  if (scores.top_size() > 0) body["top"] = ReadTop(scores);
  body["usage"] = usage.ToJson();
  return body;
}

}  // namespace

AnswerForm MakeScoreAnswer(const ApiCall& call, AnswerIdentity identity, const Tokenizer&) {
  struct State {
    std::string model;
    AnswerIdentity identity;
    AnswerUsage usage;
    Json body;
  };
  const auto state =
      std::make_shared<State>(State{call.model, std::move(identity), AnswerUsage(call), Json()});
  AnswerForm form;
  form.take_scores = [state](size_t, const sdar::v1::ScoreResponse& scores) {
    state->usage.AddScores(scores.usage());
    state->usage.CountTokens(scores.token_ids_size());
    state->body = ScoreBody(scores, state->model, state->identity, state->usage);
    return std::string();
  };
  form.body = [state] { return state->body; };
  return form;
}

}  // namespace sdar
