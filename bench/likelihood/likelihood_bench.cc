// SPDX-License-Identifier: Apache-2.0
#include "bench/likelihood/likelihood_bench.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "common/status_macros.h"
#include "runtime/request/score_fields.h"

namespace sdar {
namespace {

using sdar::v1::Segment;
using sdar::v1::StepPlan;

constexpr int64_t kPageSize = 64;
constexpr int kSequences = 32;  // that are scored at a time
constexpr uint64_t kSeed = 1;

absl::Status Within(absl::string_view flag, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": expected ", low, " .. ", high, ", got ", value));
}

int64_t RowsOf(const StepPlan& plan) {
  int64_t rows = 0;
  for (const Segment& segment : plan.segments()) rows += segment.token_ids_size();
  return rows;
}

int64_t Shortest(int64_t length) { return (length + 1) / 2; }

// Rows that a prompt of this many tokens prefills, at least one block.
int64_t WholeBlocks(int64_t length, const LikelihoodBenchOptions& options) {
  return std::max(length / options.block_length, int64_t{1}) * options.block_length;
}

// Prompts in slots of their own, one after the other, cut into steps.
class PromptStream {
 public:
  PromptStream(const std::vector<std::vector<TokenId>>& prompts,
               const LikelihoodBenchOptions& options, int slots, int64_t pages_per_slot)
      : prompts_(prompts), options_(options), slots_(slots), pages_per_slot_(pages_per_slot) {}

  // A plan of the next `rows` rows, a multiple of the block length.
  StepPlan Next(int64_t rows) {
    StepPlan plan;
    plan.set_version(kStepPlanVersion);
    plan.set_kind(StepPlan::FORWARD);
    for (const uint32_t slot : std::exchange(ended_, {})) plan.add_released_slots(slot);
    while (rows > 0) {
      const int64_t taken = std::min(rows, Length() - position_);
      AddSegment(taken, plan);
      rows -= taken;
      position_ += taken;
      if (position_ < Length()) continue;
      ended_.push_back(static_cast<uint32_t>(slot_));
      slot_ = (slot_ + 1) % slots_;
      prompt_ = (prompt_ + 1) % prompts_.size();
      position_ = 0;
    }
    return plan;
  }

 private:
  int64_t Length() const {
    return WholeBlocks(static_cast<int64_t>(prompts_[prompt_].size()), options_);
  }

  void AddSegment(int64_t rows, StepPlan& plan) const {
    const std::vector<TokenId>& prompt = prompts_[prompt_];
    Segment& segment = *plan.add_segments();
    segment.set_slot(static_cast<uint32_t>(slot_));
    segment.set_phase(Segment::PREFILL);
    segment.set_block_length(static_cast<uint32_t>(options_.block_length));
    segment.set_first_position(static_cast<uint32_t>(position_));
    for (int64_t i = position_; i < position_ + rows; ++i) {
      segment.add_token_ids(static_cast<uint32_t>(prompt[static_cast<size_t>(i) % prompt.size()]));
    }
    if (position_ > 0) return;
    segment.mutable_sampling()->set_prompt_length(static_cast<uint32_t>(Length()));
    for (int64_t page = 0; page < pages_per_slot_; ++page) {
      segment.add_new_pages(static_cast<uint32_t>(slot_ * pages_per_slot_ + page));
    }
  }

  const std::vector<std::vector<TokenId>>& prompts_;
  const LikelihoodBenchOptions& options_;
  const int slots_;
  const int64_t pages_per_slot_;
  size_t prompt_ = 0;
  int64_t position_ = 0;  // in it
  int slot_ = 0;
  std::vector<uint32_t> ended_;  // slots, to be released with the next plan
};

}  // namespace

absl::Status LikelihoodBenchOptions::Validate() const {
  SDAR_RETURN_IF_ERROR(Within("layers", layers, 0, 1024));
  SDAR_RETURN_IF_ERROR(Within("texts", texts, 1, 1'000'000));
  SDAR_RETURN_IF_ERROR(Within("block-length", block_length, 1, kPageSize));
  if (kPageSize % block_length != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--block-length: expected a divisor of ", kPageSize, ", got ", block_length));
  }
  SDAR_RETURN_IF_ERROR(Within("max-batch-rows", max_batch_rows, 2 * block_length, 65536));
  return Within("repeats", repeats, 1, 1000);
}

absl::StatusOr<std::unique_ptr<LikelihoodBench>> LikelihoodBench::Create(
    const LikelihoodBenchOptions& options, const std::vector<int64_t>& lengths,
    const Progress& progress) {
  SDAR_ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Load(options.model));
  const std::optional<TokenId> mask = tokenizer.mask_token();
  if (!mask) return absl::InvalidArgumentError("--model: its tokenizer names no mask token");
  auto bench = std::unique_ptr<LikelihoodBench>(new LikelihoodBench(options, std::move(tokenizer)));
  bench->mask_token_ = *mask;
  const auto [least, most] = std::minmax_element(lengths.begin(), lengths.end());
  // Prompts of a step: those that fit, one that was begun before and one that is not finished. The
  // slots of the step before are not free yet.
  const int64_t prompts = options.max_batch_rows / WholeBlocks(Shortest(*least), options) + 2;
  bench->slots_ = static_cast<int>(std::max<int64_t>(2 * prompts, kSequences));
  bench->pages_per_slot_ = *most / kPageSize + 1;
  ModelOptions model;
  model.max_rows = options.max_batch_rows;
  model.kv_cache = {bench->slots_ * bench->pages_per_slot_, kPageSize};
  const CpuModelSource source = {options.model, options.shape, options.layers, options.dtype,
                                 options.threads};
  SDAR_ASSIGN_OR_RETURN(bench->cpu_, MakeCpuModel(source, model, progress));
  return bench;
}

std::vector<std::vector<TokenId>> LikelihoodBench::MakeTexts(int64_t length) {
  std::mt19937_64 random(kSeed);
  std::vector<std::vector<TokenId>> texts(static_cast<size_t>(options_.texts));
  for (std::vector<TokenId>& text : texts) {
    const int64_t shortest = Shortest(length);
    const auto span = static_cast<uint64_t>(length - shortest + 1);
    text.resize(static_cast<size_t>(shortest) + random() % span);
    for (TokenId& id : text) id = static_cast<TokenId>(random() % 256);
  }
  return texts;
}

absl::StatusOr<std::vector<int64_t>> LikelihoodBench::Score(
    const std::vector<std::vector<TokenId>>& texts, LikelihoodResult& out) {
  SchedulerConfig config;
  config.max_sequences = kSequences;
  config.max_batch_rows = options_.max_batch_rows;
  config.num_pages = cpu_.model->options().kv_cache.num_pages;
  config.page_size = kPageSize;
  config.prefix_cache = false;
  Scheduler scheduler(config);
  Worker worker(*cpu_.model, config.max_sequences);
  const RequestLimits limits = {cpu_.model->config().vocab_size, pages_per_slot_ * kPageSize,
                                kPageSize, config.num_pages, config.max_batch_rows};
  ScoreFields fields;
  fields.block_length = options_.block_length;
  std::vector<int64_t> step_rows;
  StepPlan plan;
  size_t next = 0;
  const absl::Time begin = absl::Now();
  while (true) {
    for (; next < texts.size() && scheduler.num_running() + scheduler.num_waiting() < kSequences;
         ++next) {
      SDAR_ASSIGN_OR_RETURN(GenerationRequest request,
                            BuildScoreRequest(fields, {}, texts[next], {}, limits));
      const auto take = [&out](const SequenceUpdate& update) {
        out.tokens += static_cast<int64_t>(update.tokens.size());
      };
      scheduler.Add(std::make_unique<Sequence>(SequenceId(next + 1), std::move(request), take,
                                               tokenizer_, mask_token_));
    }
    plan.Clear();
    plan.set_version(kStepPlanVersion);
    plan.set_kind(StepPlan::FORWARD);
    plan.set_step_id(worker.next_step());
    if (!scheduler.FillPlan(plan)) break;
    SDAR_ASSIGN_OR_RETURN(const StepResult result, worker.Execute(plan));
    scheduler.Apply(result.summaries, {});
    step_rows.push_back(RowsOf(plan));
  }
  out.score_seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  return step_rows;
}

std::vector<StepPlan> LikelihoodBench::PlanPrefill(const std::vector<std::vector<TokenId>>& prompts,
                                                   const std::vector<int64_t>& step_rows) const {
  PromptStream stream(prompts, options_, slots_, pages_per_slot_);
  std::vector<StepPlan> plans;
  plans.reserve(step_rows.size());
  for (const int64_t rows : step_rows) plans.push_back(stream.Next(rows));
  return plans;
}

// Nothing but the passes is timed.
absl::Status LikelihoodBench::Prefill(std::vector<StepPlan> plans, LikelihoodResult& out) {
  Worker worker(*cpu_.model, slots_);
  const absl::Time begin = absl::Now();
  for (StepPlan& plan : plans) {
    plan.set_step_id(worker.next_step());
    SDAR_RETURN_IF_ERROR(worker.Execute(plan).status());
  }
  out.prefill_seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  return absl::OkStatus();
}

absl::StatusOr<LikelihoodResult> LikelihoodBench::Run(int64_t length) {
  const std::vector<std::vector<TokenId>> texts = MakeTexts(length);
  LikelihoodResult out;
  SDAR_ASSIGN_OR_RETURN(const std::vector<int64_t> step_rows, Score(texts, out));
  for (const int64_t rows : step_rows) out.rows += rows;
  out.state_rows = out.tokens * options_.block_length;
  out.steps = static_cast<int64_t>(step_rows.size());
  SDAR_RETURN_IF_ERROR(Prefill(PlanPrefill(texts, step_rows), out));
  return out;
}

}  // namespace sdar
