// SPDX-License-Identifier: Apache-2.0
#include "bench/drafts/drafts_bench.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "common/status_macros.h"
#include "runtime/request/request_fields.h"

namespace sdar {
namespace {

constexpr int64_t kPageSize = 64;
constexpr int64_t kMaxRows = 512;
constexpr int64_t kLongestPrompt = 64;  // tokens

// What sdar-tiny was trained to be asked.
constexpr const char* kQuestions[] = {
    "What is a mixture of experts?", "Explain what reinforcement learning is in simple terms.",
    "What is the capital of Chile?", "Compute 11 + 16.",
    "What is tensor parallelism?",
};

absl::Status Within(absl::string_view flag, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": expected ", low, " .. ", high, ", got ", value));
}

}  // namespace

absl::Status DraftsBenchOptions::Validate() const {
  SDAR_RETURN_IF_ERROR(Within("acceptance", acceptance, 0, 1));
  SDAR_RETURN_IF_ERROR(Within("layers", layers, 0, 1024));
  SDAR_RETURN_IF_ERROR(Within("requests", static_cast<double>(requests), 2, 1e6));
  SDAR_RETURN_IF_ERROR(Within("output-tokens", static_cast<double>(output_tokens), 8, 1e6));
  SDAR_RETURN_IF_ERROR(Within("repeats", repeats, 1, 1000));
  return ParseRemaskingStrategy(strategy).status();
}

absl::StatusOr<std::unique_ptr<DraftsBench>> DraftsBench::Create(const DraftsBenchOptions& options,
                                                                 int64_t max_batch,
                                                                 const Progress& progress) {
  auto bench = std::unique_ptr<DraftsBench>(new DraftsBench());
  bench->options_ = options;
  SDAR_ASSIGN_OR_RETURN(TextCodec text, TextCodec::Load(options.model));
  bench->text_ = std::make_unique<TextCodec>(std::move(text));
  SDAR_RETURN_IF_ERROR(bench->MakeModel(max_batch, progress));
  return bench;
}

absl::Status DraftsBench::MakeModel(int64_t max_batch, const Progress& progress) {
  ModelOptions model;
  model.max_rows = kMaxRows;
  const int64_t longest = kLongestPrompt + options_.output_tokens;
  model.kv_cache = {(longest / kPageSize + 2) * max_batch, kPageSize};
  const std::optional<TokenId> mask = text_->tokenizer().mask_token();
  if (!mask) return absl::InvalidArgumentError("--model: its tokenizer names no mask token");
  mask_token_ = *mask;
  const CpuModelSource source = {options_.model, options_.shape, options_.layers, options_.dtype,
                                 options_.threads};
  SDAR_ASSIGN_OR_RETURN(cpu_, MakeCpuModel(source, model, progress));
  if (!options_.shape.empty()) {
    forced_.emplace(options_.acceptance, static_cast<int32_t>(mask_token_));
  }
  return absl::OkStatus();
}

absl::StatusOr<GenerationRequest> DraftsBench::MakeRequest(int64_t index, int64_t drafts) const {
  GenerationRequest request;
  const char* question = kQuestions[static_cast<size_t>(index) % std::size(kQuestions)];
  ChatRequest chat;
  chat.messages = Json::array({{{"role", "user"}, {"content", question}}});
  SDAR_ASSIGN_OR_RETURN(request.prompt, text_->EncodeChat(chat));
  request.prompt.resize(std::min<size_t>(request.prompt.size(), kLongestPrompt));
  request.sampling.seed = static_cast<uint64_t>(index);
  SDAR_ASSIGN_OR_RETURN(request.remasking.strategy, ParseRemaskingStrategy(options_.strategy));
  // Of different lengths, so that the sequences do not go in step.
  request.stopping.max_tokens = options_.output_tokens - index * 37 % (options_.output_tokens / 2);
  request.drafts = static_cast<int>(drafts);
  return request;
}

absl::Status DraftsBench::Step(Scheduler& scheduler, Worker& worker) {
  sdar::v1::StepPlan plan;
  plan.set_version(kStepPlanVersion);
  plan.set_kind(sdar::v1::StepPlan::FORWARD);
  plan.set_step_id(worker.next_step());
  const absl::Time begin = absl::Now();
  SDAR_CHECK(scheduler.FillPlan(plan));
  SDAR_ASSIGN_OR_RETURN(StepResult result, worker.Execute(plan));
  if (forced_) forced_->Replace(plan, absl::MakeSpan(result.summaries));
  while (scheduler.Apply(result.summaries, {})) {
  }
  scheduler.NoteStepTime(absl::Now() - begin);
  return absl::OkStatus();
}

absl::StatusOr<DraftsResult> DraftsBench::Run(int64_t batch, const std::string& drafts) {
  SDAR_ASSIGN_OR_RETURN(const DraftCount count, ParseDrafts(drafts));
  SchedulerConfig config;
  config.max_sequences = static_cast<int>(batch);
  config.max_batch_rows = kMaxRows;
  config.num_pages = cpu_.model->options().kv_cache.num_pages;
  config.page_size = kPageSize;
  config.prefix_cache = false;
  Scheduler scheduler(config);
  Worker worker(*cpu_.model, config.max_sequences);
  DraftsResult out;
  out.batch = batch;
  out.drafts = drafts;
  int64_t tokens = 0, passes = 0, ended = 0, submitted = 0;
  absl::Time begin;
  StepCounters before;
  while (ended < batch * options_.requests) {
    while (submitted < batch * options_.requests && submitted - ended < batch) {
      SDAR_ASSIGN_OR_RETURN(GenerationRequest request, MakeRequest(submitted, count.value));
      const auto take = [&](const SequenceUpdate& update) {
        tokens += static_cast<int64_t>(update.tokens.size());
        if (!update.end) return;
        ++ended;
        passes += update.end->usage.forward_passes;
        if (ended != batch) return;
        // Weights are warm and costs known: what is counted begins here.
        begin = absl::Now();
        tokens = passes = 0;
        before = scheduler.counters().steps;
      };
      scheduler.Add(std::make_unique<Sequence>(SequenceId(static_cast<uint64_t>(++submitted)),
                                               std::move(request), take, text_->tokenizer(),
                                               mask_token_));
    }
    SDAR_RETURN_IF_ERROR(Step(scheduler, worker));
  }
  out.seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  out.tokens = tokens;
  out.sequence_passes = passes;
  out.steps = scheduler.counters().steps - before;
  return out;
}

}  // namespace sdar
