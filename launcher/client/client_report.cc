// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/client_report.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "launcher/client/terminal/terminal_text.h"

namespace sdar {
namespace {

using sdar::v1::Finished;
using sdar::v1::GetModelInfoResponse;
using sdar::v1::GetStatusResponse;
using sdar::v1::Usage;

std::string Count(uint64_t count, absl::string_view one, absl::string_view many) {
  return absl::StrCat(count, " ", count == 1 ? one : many);
}

// "1,234,567".
std::string Grouped(uint64_t number) {
  const std::string digits = absl::StrCat(number);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

Json StopReasonOf(const Finished& finished) {
  switch (finished.stop_reason_case()) {
    case Finished::kStopTokenId:
      return finished.stop_token_id();
    case Finished::kStopString:
      return finished.stop_string();
    default:
      return nullptr;
  }
}

// One object per token, as sdar-generate writes them.
Json LogprobsOf(const Sample& sample) {
  Json list = Json::array();
  for (size_t i = 0; i < sample.logprobs.size(); ++i) {
    Json top = Json::array();
    if (i < sample.top.size()) {
      for (const auto& alternative : sample.top[i].alternatives()) {
        top.push_back({{"id", alternative.id()}, {"logprob", alternative.logprob()}});
      }
    }
    list.push_back({{"id", i < sample.token_ids.size() ? Json(sample.token_ids[i]) : Json()},
                    {"logprob", sample.logprobs[i]},
                    {"entropy", i < sample.entropies.size() ? Json(sample.entropies[i]) : Json()},
                    {"step", i < sample.steps.size() ? Json(sample.steps[i]) : Json()},
                    {"top", std::move(top)}});
  }
  return list;
}

}  // namespace

std::string DescribeUsage(const Generation& generation, bool with_speed) {
  uint64_t tokens = 0, steps = 0, passes = 0;
  for (const Sample& sample : generation.samples) {
    if (!sample.finished.has_value()) continue;
    const Usage& usage = sample.finished->usage();
    tokens += usage.completion_tokens();
    steps += usage.denoising_steps();
    passes += usage.forward_passes();
  }
  const auto per = [tokens](double of) { return of > 0 ? static_cast<double>(tokens) / of : 0.0; };
  std::string out = absl::StrFormat(
      "%s, %s, %s, %.2f tokens per denoising step", Count(tokens, "token", "tokens"),
      Count(steps, "denoising step", "denoising steps"),
      Count(passes, "forward pass", "forward passes"), per(static_cast<double>(steps)));
  if (!with_speed) return out;
  if (generation.first_text > absl::ZeroDuration()) {
    absl::StrAppendFormat(&out, "; first text after %.0f ms",
                          absl::ToDoubleMilliseconds(generation.first_text));
  }
  const double seconds = absl::ToDoubleSeconds(generation.total);
  absl::StrAppendFormat(&out, "; %.2f s in all, %.0f tokens/s", seconds, per(seconds));
  return out;
}

Json RecordOf(const Generation& generation, size_t index) {
  const Sample& sample = generation.samples[index];
  const Finished& finished = *sample.finished;
  Json record = Json::object();
  record["id"] = generation.request_id;
  if (generation.samples.size() > 1) record["index"] = index;
  record["text"] = sample.text;
  record["token_ids"] = sample.token_ids;
  record["finish_reason"] = finished.reason() == Finished::STOP ? "stop" : "length";
  record["stop_reason"] = StopReasonOf(finished);
  record["usage"] = {{"prompt_tokens", finished.usage().prompt_tokens()},
                     {"completion_tokens", finished.usage().completion_tokens()},
                     {"denoising_steps", finished.usage().denoising_steps()},
                     {"forward_passes", finished.usage().forward_passes()},
                     {"cached_tokens", finished.usage().cached_tokens()},
                     {"preemptions", finished.usage().preemptions()},
                     {"forced_tokens", finished.usage().forced_tokens()}};
  record["seed"] = finished.seed();
  if (!sample.logprobs.empty()) record["logprobs"] = LogprobsOf(sample);
  return record;
}

std::string Describe(const GetStatusResponse& status) {
  std::string out;
  if (!status.unhealthy().empty()) {
    absl::StrAppend(&out, "unhealthy   ", ForOneLine(status.unhealthy()), "\n");
  }
  absl::StrAppendFormat(&out,
                        "sequences   %d running, %d waiting; %d of %d slots free\n"
                        "K/V memory  %d of %d pages free\n"
                        "steps       %d finished",
                        status.running(), status.waiting(), status.free_slots(),
                        status.total_slots(), status.free_pages(), status.total_pages(),
                        status.finished_steps());
  if (status.finished_steps() > 0) {
    absl::StrAppendFormat(&out, ", the last one %.1f s ago", status.last_step_age_seconds());
  }
  absl::StrAppend(&out, "\n");
  const int ranks = std::min(status.rank_steps_size(), status.rank_silence_seconds_size());
  for (int r = 0; r < ranks; ++r) {
    absl::StrAppendFormat(&out, "%-12s%d steps reported, heard %.1f s ago\n",
                          absl::StrCat("rank ", r), status.rank_steps(r),
                          status.rank_silence_seconds(r));
  }
  return out;
}

std::string Describe(const GetModelInfoResponse& info) {
  return absl::StrFormat(
      "model         %s (%s), %s parameters, %s\n"
      "job           %s, %s, version %s\n"
      "vocabulary    %d ids, mask %d, end %s\n"
      "block length  %d\n"
      "longest       %d tokens of prompt and answer\n",
      ForOneLine(info.model()), info.model_type(), Grouped(info.parameters()), info.dtype(),
      Count(info.ranks(), "rank", "ranks"), info.backend(), info.version(), info.vocab_size(),
      info.mask_token_id(), absl::StrJoin(info.eos_token_ids(), " "), info.block_length(),
      info.max_sequence_length());
}

std::string DescribeError(const absl::Status& status, absl::string_view server) {
  const std::string code = absl::StatusCodeToString(status.code());
  // The library's own words for a server that is not there are long and name every attempt.
  const std::string message = ForOneLine(std::string(status.message()));
  if (absl::IsUnavailable(status) && message.find("failed to connect") != std::string::npos) {
    return absl::StrCat(code, ": no server at ", server, " (start sdar-serve, or see --server)");
  }
  return absl::StrCat(code, ": ", message);
}

}  // namespace sdar
