// SPDX-License-Identifier: Apache-2.0
#include "launcher/score/score_run.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "common/shorten.h"
#include "common/status_macros.h"

namespace sdar {
namespace {

using sdar::v1::Segment;
using sdar::v1::StepPlan;

// Rows scored by one plan, rounded down to whole blocks: bounds the logits held at a time.
constexpr int64_t kChunkRows = 256;
// Rows of logits gathered by one plan.
constexpr int64_t kGatherRows = 64;

absl::StatusOr<std::vector<TokenId>> ReadIds(const Json& record, const char* field) {
  const Json& list = record[field];
  if (!list.is_array()) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": expected a list of token ids"));
  }
  std::vector<TokenId> ids;
  for (const Json& id : list) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX) {
      return absl::InvalidArgumentError(absl::StrCat(
          field, "[", ids.size(), "]: expected a token id, got ", DumpJson(id).substr(0, 80)));
    }
    ids.push_back(static_cast<TokenId>(id.get<uint64_t>()));
  }
  return ids;
}

}  // namespace

absl::StatusOr<ScoreRequest> ParseScoreRequest(absl::string_view line, int line_number, Json& id) {
  id = line_number;
  SDAR_ASSIGN_OR_RETURN(const Json record, ParseJson(line, "the line"));
  if (!record.is_object()) return absl::InvalidArgumentError("expected an object");
  if (record.contains("id")) id = record["id"];
  for (const auto& [key, value] : record.items()) {
    if (key != "id" && key != "ids" && key != "targets") {
      return absl::InvalidArgumentError(absl::StrCat("unknown field '", Shorten(key), "'"));
    }
  }
  if (!record.contains("ids")) return absl::InvalidArgumentError("ids: missing");
  ScoreRequest request;
  request.id = id;
  SDAR_ASSIGN_OR_RETURN(request.ids, ReadIds(record, "ids"));
  request.targets = request.ids;
  if (record.contains("targets")) {
    SDAR_ASSIGN_OR_RETURN(request.targets, ReadIds(record, "targets"));
  }
  if (request.ids.empty()) return absl::InvalidArgumentError("ids: the list is empty");
  if (request.targets.size() != request.ids.size()) {
    return absl::InvalidArgumentError(absl::StrCat("targets: expected ", request.ids.size(),
                                                   ", one per id, got ", request.targets.size()));
  }
  return request;
}

std::string LogitsName(const Json& id) {
  return absl::StrCat("logits.", id.is_string() ? id.get<std::string>() : DumpJson(id));
}

absl::Status Scorer::Check(const ScoreRequest& request) const {
  const RequestLimits& limits = job_.limits();
  const auto length = static_cast<int64_t>(request.ids.size());
  const int64_t longest = std::min(limits.max_sequence_length, limits.num_pages * limits.page_size);
  if (length > longest) {
    return absl::InvalidArgumentError(
        absl::StrCat("ids: expected at most ", longest, ", got ", length));
  }
  for (const auto* ids : {&request.ids, &request.targets}) {
    for (TokenId id : *ids) {
      if (id < limits.vocab_size) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("expected token ids below ", limits.vocab_size, ", got ", id));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<double>> Scorer::Score(const ScoreRequest& request,
                                                  SafetensorsWriter* logits) {
  const auto length = static_cast<int64_t>(request.ids.size());
  const int64_t block = job_.defaults().block_length;
  const int64_t chunk =
      std::max(block, std::min(kChunkRows, job_.limits().max_batch_rows) / block * block);
  std::vector<double> out;
  for (int64_t begin = 0; begin < length; begin += chunk) {
    SDAR_RETURN_IF_ERROR(ScoreChunk(request, begin, std::min(chunk, length - begin), logits, out));
  }
  return out;
}

absl::Status Scorer::ScoreChunk(const ScoreRequest& request, int64_t begin, int64_t count,
                                SafetensorsWriter* logits, std::vector<double>& out) {
  StepPlan plan;
  plan.set_kind(StepPlan::FORWARD);
  Segment& segment = *plan.add_segments();
  segment.set_phase(Segment::PREFILL);
  segment.set_block_length(static_cast<uint32_t>(job_.defaults().block_length));
  segment.set_first_position(static_cast<uint32_t>(begin));
  if (begin == 0) {
    if (slot_in_use_) plan.add_released_slots(0);
    slot_in_use_ = true;
    segment.mutable_sampling();
    const int64_t page_size = job_.limits().page_size;
    const auto length = static_cast<int64_t>(request.ids.size());
    for (int64_t page = 0; page * page_size < length; ++page) {
      segment.add_new_pages(static_cast<uint32_t>(page));
    }
  }
  for (int64_t i = begin; i < begin + count; ++i) {
    segment.add_token_ids(static_cast<uint32_t>(request.ids[static_cast<size_t>(i)]));
    segment.add_asked_ids(static_cast<uint32_t>(request.targets[static_cast<size_t>(i)]));
  }
  segment.set_masked(std::string(static_cast<size_t>(count + 7) / 8, '\xFF'));
  SDAR_ASSIGN_OR_RETURN(const StepResult result, Run(plan));
  for (const LogitSummary& summary : result.summaries) {
    const double logprob = std::min(0.0, double{summary.asked_z} - LogSumExp(summary));
    out.push_back(IsUsable(summary) ? logprob : std::numeric_limits<double>::quiet_NaN());
  }
  return logits == nullptr ? absl::OkStatus() : AppendLogits(count, *logits);
}

absl::Status Scorer::AppendLogits(int64_t rows, SafetensorsWriter& logits) {
  for (int64_t begin = 0; begin < rows; begin += kGatherRows) {
    StepPlan plan;
    plan.set_kind(StepPlan::RESOLVE);
    for (int64_t row = begin; row < std::min(rows, begin + kGatherRows); ++row) {
      plan.add_resolve_rows(static_cast<uint32_t>(row));
    }
    SDAR_ASSIGN_OR_RETURN(const StepResult result, Run(plan));
    SDAR_RETURN_IF_ERROR(logits.Append({reinterpret_cast<const std::byte*>(result.logits.data()),
                                        result.logits.size() * sizeof(float)}));
  }
  return absl::OkStatus();
}

absl::StatusOr<StepResult> Scorer::Run(StepPlan& plan) {
  plan.set_version(kStepPlanVersion);
  plan.set_step_id(job_.worker().next_step());
  SDAR_RETURN_IF_ERROR(job_.channel().Send(plan));
  return job_.worker().Execute(plan);
}

}  // namespace sdar
