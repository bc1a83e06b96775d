// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/job.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include <unistd.h>

#include "common/log.h"
#include "common/status_macros.h"
#include "common/steady_time.h"
#include "launcher/job/agreement.h"
#include "launcher/job/exit_deadline.h"
#include "launcher/job/memory_amount.h"
#include "launcher/job/progress_bar.h"
#include "launcher/job/start_deadline.h"
#include "launcher/job/structures.h"
#include "parallel/local_communicator.h"

namespace sdar {
namespace {

// How long the ranks may take from their start to the first heartbeats.
constexpr absl::Duration kMeetTimeout = absl::Seconds(120);

std::string HostName() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Job>> Job::Start(const JobOptions& options, Hooks hooks) {
  const SteadyTime started = SteadyTime::Now();
  auto job = std::unique_ptr<Job>(new Job(options, std::move(hooks)));
  if (absl::Status status = job->Meet(); !status.ok()) {
    ExitWithin(kEndTimeout, "the job does not start", 1);
    return status;
  }
  if (absl::Status status = job->Load(); !status.ok()) {
    job->Leave();
    return status;
  }
  if (job->is_coordinator() && job->engine_ != nullptr) job->MakeRouter();
  job->load_phases_.emplace_back("ready", SteadyTime::Now() - started);
  return job;
}

// All ranks find each other; from then on the watchdog sees whether they are still there.
absl::Status Job::Meet() {
  std::optional<StartDeadline> deadline;
  if (StartedByMpi()) deadline.emplace(kMeetTimeout, "the ranks of the job have not met");
  SDAR_RETURN_IF_ERROR(Connect());
  SDAR_ASSIGN_OR_RETURN(hosts_, GatherStrings(*world_, HostName()));
  SDAR_RETURN_IF_ERROR(AgreeOnStatus(*world_, CheckOptions()));
  return StartWatchdog();
}

absl::Status Job::CheckOptions() {
  SDAR_RETURN_IF_ERROR(options_.Validate());
  SDAR_RETURN_IF_ERROR(hooks_.adjust(options_));
  return CheckGroups();
}

absl::Status Job::Load() {
  SDAR_RETURN_IF_ERROR(RunPhase("checkpoint", &Job::OpenModel));
  const JobOptions& o = options_;
  SDAR_RETURN_IF_ERROR(AgreeOnValues(
      *world_, {{"config.json", DumpJson(ToJson(config()))},
                {"the checkpoint's tensors", absl::StrCat(checkpoint_->IndexHash())},
                {"flags", absl::StrCat(o.Arithmetic(), " ", o.instruction_set, " ", o.moe_exchange,
                                       " ", o.cuda_graphs, " ", o.max_sequences, " ",
                                       o.max_batch_rows, " ", o.max_sequence_length, " ",
                                       o.page_size, " ", o.kv_memory, " ", o.tensor_parallel)}}));
  SDAR_RETURN_IF_ERROR(AgreeOnStatus(*world_, SplitRanks()));
  SDAR_RETURN_IF_ERROR(AgreeOnStatus(*world_, MakeDevice()));
  tensors_.store(device_.tensors.get());
  SDAR_RETURN_IF_ERROR(RunPhase("weights", &Job::LoadWeights));
  SDAR_RETURN_IF_ERROR(AgreeOnStatus(*world_, ChoosePages()));
  SDAR_RETURN_IF_ERROR(RunPhase("model", &Job::LoadModel));
  SDAR_RETURN_IF_ERROR(RunPhase("text", &Job::LoadText));
  running_engine_.store(engine_.get());
  return JoinReplicas();
}

// All ranks are here with the same error. None may take another's end for a failure.
void Job::Leave() {
  ExitWithin(kEndTimeout, "the job does not start", 1);
  if (watchdog_server_ != nullptr) watchdog_server_->StopWatching();
  if (watchdog_client_ != nullptr) watchdog_client_->StopWatching();
  if (absl::Status status = world_->Barrier(); !status.ok()) spdlog::debug("{}", status.ToString());
}

// All ranks run it, and go on together or not at all.
absl::Status Job::RunPhase(const char* name, absl::Status (Job::*phase)()) {
  const SteadyTime started = SteadyTime::Now();
  absl::Status status = AgreeOnStatus(*world_, (this->*phase)());
  load_phases_.emplace_back(name, SteadyTime::Now() - started);
  return status;
}

Job::Job(const JobOptions& options, Hooks hooks) : options_(options), hooks_(std::move(hooks)) {}

absl::Status Job::OpenModel() {
  if (is_coordinator()) SDAR_RETURN_IF_ERROR(hooks_.prepare());
  SDAR_ASSIGN_OR_RETURN(location_, LocateModel(options_.model));
  SDAR_ASSIGN_OR_RETURN(checkpoint_, Checkpoint::Open(location_.folder));
  const ModelConfig& model = config();
  SDAR_RETURN_IF_ERROR(CheckRankCount(model, group_size()));
  const int64_t longest = model.LongestSequence();
  if (options_.max_sequence_length > longest) {
    return absl::InvalidArgumentError(absl::StrCat("--max-sequence-length: expected at most ",
                                                   longest, ", got ",
                                                   options_.max_sequence_length));
  }
  limits_.vocab_size = model.vocab_size;
  limits_.max_sequence_length =
      options_.max_sequence_length > 0 ? options_.max_sequence_length : longest;
  limits_.page_size = options_.page_size;
  limits_.max_batch_rows = options_.max_batch_rows;
  SDAR_ASSIGN_OR_RETURN(const MemoryAmount kv, ParseMemoryAmount("kv-memory", options_.kv_memory));
  if (kv.bytes > 0) SDAR_RETURN_IF_ERROR(CheckPages(PagesOf(kv.bytes)));
  SDAR_ASSIGN_OR_RETURN(defaults_.generation, LoadGenerationConfig(location_.folder, model));
  if (is_coordinator()) WarnOfIgnored();
  if (options_.generation_config == "none") {
    GenerationDefaults greedy;
    greedy.eos_token_ids = defaults_.generation.eos_token_ids;
    defaults_.generation = greedy;
  }
  const auto flag =
      options_.block_length > 0 ? std::optional<int64_t>(options_.block_length) : std::nullopt;
  const BlockLength block = ResolveBlockLength(std::nullopt, flag, model, location_.name);
  defaults_.block_length = block.value;
  SDAR_ASSIGN_OR_RETURN(const DraftCount drafts, ParseDrafts(options_.drafts));
  defaults_.drafts = static_cast<int>(drafts.value);
  if (block.source == BlockLengthSource::kDefault && is_coordinator()) {
    spdlog::warn("neither config.json nor the model's name says a block length; using {}",
                 block.value);
  }
  return absl::OkStatus();
}

void Job::WarnOfIgnored() const {
  constexpr size_t kMostLines = 20;
  std::vector<std::string> ignored = checkpoint_->ignored();
  const std::vector<std::string>& more = defaults_.generation.ignored;
  ignored.insert(ignored.end(), more.begin(), more.end());
  for (size_t i = 0; i < std::min(kMostLines, ignored.size()); ++i) {
    spdlog::warn("no effect: {}", ignored[i]);
  }
  if (ignored.size() > kMostLines) {
    spdlog::warn("no effect: {} things more; sdar-checkpoint verify lists them",
                 ignored.size() - kMostLines);
  }
}

// What the memory holds, and no more than all slots could use.
int64_t Job::PagesOf(int64_t memory_bytes) const {
  const DType dtype = options_.dtype == "float32" ? DType::kFloat32 : DType::kBFloat16;
  const int64_t fit = PagesThatFit(config(), group_size(), dtype, options_.page_size, memory_bytes);
  const int64_t per_sequence =
      (limits_.max_sequence_length + options_.page_size - 1) / options_.page_size;
  return std::min(fit, per_sequence * options_.max_sequences);
}

absl::Status Job::CheckPages(int64_t pages) const {
  if (pages >= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--kv-memory: ", options_.kv_memory, " holds no page of ", options_.page_size, " positions"));
}

// Looks at what is free when all ranks hold their weights and none has K/V memory yet: nothing need
// be guessed about what the ranks of a host have taken. The minimum is also what keeps a rank from
// taking its pages before another has looked.
absl::Status Job::ChoosePages() {
  if (options_.exact_pages > 0) {
    limits_.num_pages = options_.exact_pages;
    return absl::OkStatus();
  }
  SDAR_ASSIGN_OR_RETURN(const MemoryAmount kv, ParseMemoryAmount("kv-memory", options_.kv_memory));
  const absl::StatusOr<int64_t> free =
      kv.bytes > 0 ? absl::StatusOr<int64_t>(0) : device_.free_memory();
  const int64_t mine = free.ok() ? PagesOf(kv.PerRank(*free, memory_sharers_)) : 0;
  SDAR_ASSIGN_OR_RETURN(limits_.num_pages, MinimumOverRanks(*world_, mine));
  SDAR_RETURN_IF_ERROR(free.status());
  return CheckPages(limits_.num_pages);
}

absl::Status Job::LoadWeights() {
  const SteadyTime started = SteadyTime::Now();
  ProgressBar bar("loading");
  const Progress progress = [&](double fraction) {
    if (is_coordinator()) bar.Show(fraction);
  };
  SDAR_ASSIGN_OR_RETURN(const WeightFormat format, ParseWeightFormat(options_.weights));
  SDAR_ASSIGN_OR_RETURN(
      weights_, LoadShardedWeights(
                    config(), [&](absl::string_view name) { return checkpoint_->Find(name); },
                    {group_size(), group_->rank(), format}, backend(), progress));
  SDAR_RETURN_IF_ERROR(checkpoint_->CheckUnchanged());
  load_time_ = SteadyTime::Now() - started;
  return absl::OkStatus();
}

absl::Status Job::LoadModel() {
  ModelOptions model;
  SDAR_ASSIGN_OR_RETURN(model.moe_exchange, ParseMoeExchange(options_.moe_exchange));
  model.max_rows = options_.max_batch_rows;
  model.kv_cache = {limits_.num_pages, options_.page_size};
  const GroupCommunicators group =
      device_.tensors == nullptr ? *group_ : GroupCommunicators(*device_.tensors, *group_);
  SDAR_ASSIGN_OR_RETURN(model_,
                        SdarModel::Create(config(), std::move(weights_), model, backend(), group));
  worker_ = std::make_unique<Worker>(*model_, options_.max_sequences);
  if (is_coordinator()) {
    spdlog::info(
        "loaded {} in {:.1f} s: {} parameters, {}, {} replica(s) of {} rank(s), {}, {} pages of {}",
        location_.folder, absl::ToDoubleSeconds(load_time_), config().NumParameters(),
        options_.Arithmetic(), num_replicas(), group_size(), backend().Description(),
        limits_.num_pages, options_.page_size);
  }
  return absl::OkStatus();
}

absl::Status Job::LoadText() {
  const auto ring = [this](uint64_t count) {
    if (is_coordinator()) return watchdog_server_->Ring(count);
    watchdog_client_->Ring(count);
  };
  channel_ = std::make_unique<StepChannel>(*group_, ring, &doorbell_);
  if (!is_first_of_group() || !hooks_.needs_text) return absl::OkStatus();
  SDAR_ASSIGN_OR_RETURN(TextCodec text, TextCodec::Load(location_.folder));
  text_ = std::make_unique<TextCodec>(std::move(text));
  text_->LimitPrompts(limits_.max_sequence_length);
  const std::optional<TokenId> mask =
      config().mask_token_id ? config().mask_token_id : text_->tokenizer().mask_token();
  if (!mask) {
    return absl::InvalidArgumentError(
        absl::StrCat(location_.folder,
                     ": neither config.json (mask_token_id) nor the tokenizer names the mask "
                     "token"));
  }
  mask_token_ = *mask;
  return MakeEngine();
}

absl::Status Job::MakeEngine() {
  EngineConfig engine;
  engine.scheduler.max_sequences = options_.max_sequences;
  engine.scheduler.max_batch_rows = options_.max_batch_rows;
  engine.scheduler.num_pages = limits_.num_pages;
  engine.scheduler.page_size = options_.page_size;
  engine.scheduler.fuse_commit = options_.fuse_commit;
  engine.scheduler.prefix_cache = options_.prefix_cache;
  engine.scheduler.max_prefill_rows = options_.max_prefill_rows;
  engine.scheduler.prefill_share = options_.prefill_share;
  limits_.forbidden = ForbiddenIds(text_->tokenizer(), mask_token_, config().vocab_size);
  defaults_.structures = MakeStructureCompiler(text_->tokenizer(), limits_);
  engine.limits = limits_;
  engine.mask_token = mask_token_;
  engine_ = std::make_unique<Engine>(engine, text_->tokenizer(), *worker_, *channel_);
  if (!options_.record_plans.empty()) {
    SDAR_ASSIGN_OR_RETURN(std::unique_ptr<PlanRecorder> recorder,
                          PlanRecorder::Create(RecordPath(), RecordHeader()));
    engine_->RecordTo(std::move(recorder));
  }
  return absl::OkStatus();
}

// One file per replica: step ids are consecutive in each.
std::string Job::RecordPath() const {
  if (replica() == 0) return options_.record_plans;
  return absl::StrCat(options_.record_plans, ".", replica());
}

sdar::v1::PlanRecordHeader Job::RecordHeader() const {
  sdar::v1::PlanRecordHeader header;
  header.set_model(DumpJson(ToJson(config())));
  header.set_index_hash(checkpoint_->IndexHash());
  header.set_ranks(static_cast<uint32_t>(group_size()));
  header.set_dtype(options_.Arithmetic());
  const std::string backend = device_.backend->Description();
  header.set_backend(backend.substr(0, backend.find(',')));
  header.set_moe_exchange(options_.moe_exchange);
  header.set_max_sequences(static_cast<uint32_t>(options_.max_sequences));
  header.set_max_batch_rows(static_cast<uint64_t>(options_.max_batch_rows));
  header.set_num_pages(static_cast<uint64_t>(limits_.num_pages));
  header.set_page_size(static_cast<uint32_t>(options_.page_size));
  return header;
}

}  // namespace sdar
