// SPDX-License-Identifier: Apache-2.0
#include "launcher/grammar/grammar_line.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "launcher/job/structures.h"
#include "runtime/grammar/schema/compile.h"
#include "runtime/grammar/tokens/token_grammar.h"

namespace sdar {
namespace {

constexpr int kMaxDepth = 128;

absl::StatusOr<std::vector<std::string>> StringsOf(const Json& request, const char* key) {
  std::vector<std::string> strings;
  if (!request.contains(key)) return strings;
  const std::string wrong = absl::StrCat(key, " is not a list of strings");
  if (!request[key].is_array()) return absl::InvalidArgumentError(wrong);
  for (const Json& value : request[key]) {
    if (!value.is_string()) return absl::InvalidArgumentError(wrong);
    strings.push_back(value.get<std::string>());
  }
  return strings;
}

// Times of masks in microseconds.
Json Summary(std::vector<double> times) {
  if (times.empty()) return Json::object();
  const double sum = std::accumulate(times.begin(), times.end(), 0.0);
  std::vector<double> sorted = times;
  std::sort(sorted.begin(), sorted.end());
  return {{"mean", sum / static_cast<double>(times.size())},
          {"p99", sorted[sorted.size() * 99 / 100]},
          {"max", sorted.back()},
          {"tokens", times.size()},
          {"all", std::move(times)}};
}

double MillisecondsSince(std::chrono::steady_clock::time_point begun) {
  const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - begun;
  return passed.count();
}

}  // namespace

GrammarLine::GrammarLine(Tokenizer tokenizer)
    : tokenizer_(std::move(tokenizer)), end_token_(tokenizer_.vocab_limit()) {
  RequestLimits limits;
  limits.vocab_size = end_token_ + 1;
  vocabulary_ = VocabularyOf(tokenizer_, limits, {});
}

absl::StatusOr<GrammarLine> GrammarLine::Load(const std::string& folder) {
  SDAR_ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Load(folder));
  return GrammarLine(std::move(tokenizer));
}

absl::StatusOr<grammar::Automaton> GrammarLine::Compile(const Json& request) {
  if (request.contains("json_schema")) return grammar::CompileJsonSchema(request["json_schema"]);
  if (request.contains("regex")) {
    if (!request["regex"].is_string()) return absl::InvalidArgumentError("regex is not a string");
    return grammar::RegexAutomaton(request["regex"].get_ref<const std::string&>());
  }
  if (!request.contains("choice")) {
    return absl::InvalidArgumentError("expected a key 'json_schema', 'regex' or 'choice'");
  }
  SDAR_ASSIGN_OR_RETURN(const std::vector<std::string> choices, StringsOf(request, "choice"));
  return grammar::ChoiceAutomaton(choices);
}

absl::StatusOr<Json> GrammarLine::Answer(absl::string_view line, Json& request) const {
  SDAR_ASSIGN_OR_RETURN(request, ParseJson(line, "request", kMaxDepth));
  if (!request.is_object()) return absl::InvalidArgumentError("expected a JSON object");
  SDAR_ASSIGN_OR_RETURN(const std::vector<std::string> texts, StringsOf(request, "texts"));
  const auto begun = std::chrono::steady_clock::now();
  absl::StatusOr<grammar::Automaton> automaton = Compile(request);
  const double compile_ms = MillisecondsSince(begun);
  Json result = Json::object();
  if (request.contains("id")) result["id"] = request["id"];
  result["error"] = nullptr;
  if (!automaton.ok()) {
    result["error"] = {{"message", std::string(automaton.status().message())},
                       {"pointer", grammar::PointerOf(automaton.status())}};
  }
  result["compile_ms"] = compile_ms;
  if (automaton.ok()) {
    SDAR_RETURN_IF_ERROR(AddTexts(texts, *std::move(automaton), result));
  }
  return result;
}

absl::Status GrammarLine::AddTexts(const std::vector<std::string>& texts,
                                   grammar::Automaton automaton, Json& result) const {
  grammar::Envelope envelope;
  envelope.text = std::make_unique<grammar::Automaton>(std::move(automaton));
  envelope.end_tokens = {end_token_};
  grammar::TokenGrammar grammar(vocabulary_, std::move(envelope));
  std::vector<double> times;
  result["accepts"] = Json::array();
  for (const std::string& text : texts) {
    SDAR_ASSIGN_OR_RETURN(std::vector<TokenId> ids, tokenizer_.Encode(text));
    ids.push_back(end_token_);
    grammar::TokenState state = grammar.start();
    for (size_t i = 0; i < ids.size() && state != grammar::kDeadTokenState; ++i) {
      const auto begun = std::chrono::steady_clock::now();
      const auto mask = grammar.Mask(state);
      times.push_back(1000 * MillisecondsSince(begun));
      state = mask->Has(ids[i]) ? grammar.Next(state, ids[i]) : grammar::kDeadTokenState;
    }
    result["accepts"].push_back(state == grammar::kDoneTokenState);
  }
  result["mask_us"] = Summary(std::move(times));
  return absl::OkStatus();
}

}  // namespace sdar
