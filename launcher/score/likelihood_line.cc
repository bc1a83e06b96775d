// SPDX-License-Identifier: Apache-2.0
#include "launcher/score/likelihood_line.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "common/json_fields.h"
#include "common/shorten.h"
#include "common/status_macros.h"
#include "runtime/request/request_json.h"

namespace sdar {

absl::StatusOr<LikelihoodLine> ParseLikelihoodLine(absl::string_view line, int line_number,
                                                   Json& id) {
  id = line_number;
  SDAR_ASSIGN_OR_RETURN(const Json record, ParseJson(line, "the line"));
  if (!record.is_object()) return Mistyped("an object", record);
  if (record.contains("id") && !record["id"].is_null()) id = record["id"];
  LikelihoodLine request;
  std::vector<TokenId> ids;
  int64_t prompt_length = 0;
  auto readers = RequestFieldReaders(request.fields);
  readers["id"] = [](const Json&) { return absl::OkStatus(); };
  readers["ids"] = [&ids](const Json& value) { return ReadValue(value, ids); };
  readers["prompt_length"] = [&](const Json& value) { return ReadValue(value, prompt_length); };
  for (const auto& [key, value] : record.items()) {
    const auto reader = readers.find(key);
    if (reader == readers.end()) {
      return absl::InvalidArgumentError(absl::StrCat("unknown field '", Shorten(key), "'"));
    }
    if (value.is_null()) continue;
    if (const absl::Status status = reader->second(value); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(key, ": ", status.message()));
    }
  }
  if (ids.empty())
    return absl::InvalidArgumentError("ids: expected a list of at least one token id");
  const auto length = static_cast<int64_t>(ids.size());
  if (prompt_length < 0 || prompt_length >= length) {
    return absl::InvalidArgumentError(absl::StrCat("prompt_length: expected 0 .. ", length - 1,
                                                   " with ", length, " ids, got ", prompt_length));
  }
  const auto first_target = ids.begin() + static_cast<std::ptrdiff_t>(prompt_length);
  request.targets.assign(first_target, ids.end());
  ids.erase(first_target, ids.end());
  request.prompt = std::move(ids);
  return request;
}

Json LikelihoodRecord(const Json& id, const std::vector<RevealedToken>& targets) {
  Json logprobs = Json::array();
  Json greedy = Json::array();
  Json top = Json::array();
  double sum = 0;
  bool has_top = false;
  for (const RevealedToken& target : targets) {
    logprobs.push_back(target.logprob);
    greedy.push_back(target.greedy);
    sum += target.logprob;
    has_top = has_top || !target.top.empty();
    Json& alternatives = top.emplace_back(Json::array());
    for (const TokenLogprob& t : target.top) {
      alternatives.push_back({{"id", t.id}, {"logprob", t.logprob}});
    }
  }
  Json record = {
      {"id", id}, {"logprobs", std::move(logprobs)}, {"sum", sum}, {"greedy", std::move(greedy)}};
  if (has_top) record["top"] = std::move(top);
  return record;
}

}  // namespace sdar
