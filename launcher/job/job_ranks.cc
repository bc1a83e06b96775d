// SPDX-License-Identifier: Apache-2.0
// How the ranks of a job find each other, split into replicas, run, and end together.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/log.h"
#include "common/status_macros.h"
#include "launcher/job/agreement.h"
#include "launcher/job/exit_deadline.h"
#include "launcher/job/grpc_log.h"
#include "launcher/job/job.h"
#include "parallel/local_communicator.h"

namespace sdar {
namespace {

spdlog::level::level_enum LevelOf(const std::string& name) {
  if (name == "debug") return spdlog::level::debug;
  if (name == "warning") return spdlog::level::warn;
  return name == "error" ? spdlog::level::err : spdlog::level::info;
}

LogOptions LogOptionsOf(const JobOptions& options, const Communicator& world) {
  LogOptions log;
  log.rank = world.rank();
  log.num_ranks = world.size();
  log.level = LevelOf(options.log_level);
  log.format = options.log_format == "json" ? LogFormat::kJson : LogFormat::kText;
  return log;
}

// How long ranks may take to connect once rank 0 listens.
constexpr absl::Duration kConnectTimeout = absl::Seconds(60);

Replica ReplicaOf(Engine& engine) {
  return {[&engine](std::vector<Submission> samples) { return engine.Submit(std::move(samples)); },
          [&engine](SequenceId id, const absl::Status& status) { engine.Cancel(id, status); },
          [&engine] { return engine.GetStatus(); }};
}

}  // namespace

// What talks to other ranks goes first: it must not mistake the end for a failure, nor use what is
// gone.
Job::~Job() {
  if (replica_server_ != nullptr) replica_server_->Stop(absl::UnavailableError("the job ends"));
  replica_client_.reset();
  watchdog_client_.reset();
  watchdog_server_.reset();
  router_.reset();
  replica_server_.reset();
  engine_.reset();
  worker_.reset();
  model_.reset();
  device_.tensors.reset();
  group_.reset();
  world_.reset();
  mpi_.reset();
}

void Job::StartLogging() const {
  InitLogging(LogOptionsOf(options_, *world_));
  SendGrpcLogToOurs();
}

absl::Status Job::Connect() {
  if (!StartedByMpi()) {
    world_ = MakeSingleCommunicator();
    StartLogging();
    return absl::OkStatus();
  }
  SDAR_ASSIGN_OR_RETURN(mpi_, MpiSession::Start());
  SDAR_ASSIGN_OR_RETURN(world_, MpiCommunicator::World());
  StartLogging();
  return absl::OkStatus();
}

int Job::group_size() const {
  return options_.tensor_parallel > 0 ? options_.tensor_parallel : num_ranks();
}

absl::Status Job::CheckGroups() const {
  if (num_ranks() % group_size() != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tensor-parallel: expected a divisor of the number of ranks, ", num_ranks(),
                     ", got ", group_size()));
  }
  if (num_replicas() > 1 && !hooks_.needs_text) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tensor-parallel: this program runs one replica: expected 0 or ",
                     num_ranks(), ", got ", group_size()));
  }
  return absl::OkStatus();
}

absl::Status Job::SplitRanks() {
  if (mpi_ == nullptr) {
    group_ = MakeSingleCommunicator();
    return absl::OkStatus();
  }
  SDAR_ASSIGN_OR_RETURN(std::unique_ptr<MpiCommunicator> group,
                        MpiCommunicator::OfWorld(replica()));
  mpi_group_ = group.get();
  group_ = std::move(group);
  return absl::OkStatus();
}

StepProgress Job::OwnProgress() const {
  StepProgress progress;
  if (const Engine* engine = running_engine_.load(); engine != nullptr) {
    const EngineStatus status = engine->GetStatus();
    progress = {status.finished_steps, status.step_age, absl::OkStatus()};
  } else {
    progress.finished_steps = finished_steps_.load();
  }
  if (const Communicator* tensors = tensors_.load(); tensors != nullptr) {
    progress.collectives = tensors->Health();
  }
  return progress;
}

// The name under which other hosts reach this one. A pod's own name is known in its cluster's
// domain only; a LeaderWorkerSet tells the leader's whole address, and sdar-launch has rank 0
// there.
std::string Job::OwnAddress() const {
  const char* leader = std::getenv("LWS_LEADER_ADDRESS");
  return leader != nullptr && *leader != '\0' ? leader : hosts_[0];
}

absl::StatusOr<std::string> Job::Listen(const WatchdogOptions& options) {
  const bool one_host = std::count(hosts_.begin(), hosts_.end(), hosts_[0]) == num_ranks();
  const auto fail = [this](const absl::Status& status) {
    hooks_.on_failure(status);
    Abandon(status);
  };
  if (num_replicas() > 1) replica_server_ = std::make_unique<ReplicaServer>(num_replicas(), fail);
  watchdog_server_ = std::make_unique<WatchdogServer>(
      options, num_ranks(), group_size(), [this] { return OwnProgress(); }, fail);
  return watchdog_server_->Start(one_host ? "127.0.0.1" : OwnAddress(),
                                 replica_server_ ? replica_server_->service() : nullptr);
}

void Job::CallRankZero(const WatchdogOptions& options, const std::string& address) {
  watchdog_client_ = std::make_unique<WatchdogClient>(
      options, rank(), address, doorbell_, [this] { return OwnProgress(); },
      [this](const absl::Status& status) { Abandon(status); });
}

absl::Status Job::JoinReplicas() {
  if (num_replicas() == 1) return absl::OkStatus();
  if (!is_coordinator() && engine_ != nullptr) {
    // Rank 0 has compiled the structures of what it sends, so that none fails here.
    Replica engine = ReplicaOf(*engine_);
    engine.submit =
        [this, submit = engine.submit](
            std::vector<Submission> samples) -> absl::StatusOr<std::vector<SequenceId>> {
      for (Submission& sample : samples) {
        SDAR_RETURN_IF_ERROR(CompileStructure(defaults_.structures.get(), sample.request));
      }
      return submit(std::move(samples));
    };
    replica_client_ = std::make_unique<ReplicaClient>(
        replica(), rank_zero_, std::move(engine),
        [this](const absl::Status& status) { engine_->Stop(status); });
  }
  return AgreeOnStatus(*world_, is_coordinator() ? replica_server_->AwaitReplicas(kConnectTimeout)
                                                 : absl::OkStatus());
}

absl::Status Job::StartWatchdog() {
  if (num_ranks() == 1) return absl::OkStatus();
  WatchdogOptions options;
  options.step_timeout = absl::Seconds(options_.step_timeout_s);
  absl::StatusOr<std::string> address = "";
  if (is_coordinator()) address = Listen(options);
  SDAR_RETURN_IF_ERROR(AgreeOnStatus(*world_, address.status()));
  SDAR_ASSIGN_OR_RETURN(const std::vector<std::string> addresses, GatherStrings(*world_, *address));
  rank_zero_ = addresses[0];
  if (!is_coordinator()) CallRankZero(options, rank_zero_);
  SDAR_RETURN_IF_ERROR(AgreeOnStatus(*world_, is_coordinator()
                                                  ? watchdog_server_->AwaitRanks(kConnectTimeout)
                                                  : absl::OkStatus()));
  if (is_coordinator()) spdlog::debug("all {} ranks are here", num_ranks());
  return absl::OkStatus();
}

void Job::MakeRouter() {
  RouterConfig config;
  config.limits = limits_;
  config.max_waiting = options_.max_waiting;
  config.max_waiting_tokens = options_.max_waiting_tokens;
  config.slots = options_.max_sequences;
  std::vector<Replica> replicas = {ReplicaOf(*engine_)};
  for (int r = 1; r < num_replicas(); ++r) replicas.push_back(replica_server_->AsReplica(r));
  router_ = std::make_unique<Router>(config, std::move(replicas));
}

absl::Status Job::RunReplica() {
  SDAR_RETURN_IF_ERROR(RunEngine());
  replica_client_->Finish();
  watchdog_client_->StopWatching();
  return absl::OkStatus();
}

absl::Status Job::RunWorker() {
  backend().BindThread();
  SDAR_RETURN_IF_ERROR(
      RunWorkerLoop(*worker_, *channel_, [this](uint64_t steps) { finished_steps_.store(steps); }));
  watchdog_client_->StopWatching();
  return absl::OkStatus();
}

absl::Status Job::RunEngine() {
  backend().BindThread();
  return engine_->Run();
}

// The router first, so that nothing more comes to an engine that refuses it.
void Job::Stop(const absl::Status& status) {
  router_->Stop(status);
  if (replica_server_ != nullptr) replica_server_->Stop(status);
  engine_->Stop(status);
}

absl::Status Job::SendShutdown() {
  sdar::v1::StepPlan plan;
  plan.set_version(kStepPlanVersion);
  plan.set_kind(sdar::v1::StepPlan::SHUTDOWN);
  plan.set_step_id(worker_->next_step());
  SDAR_RETURN_IF_ERROR(channel_->Send(plan));
  return worker_->Execute(plan).status();
}

absl::Status Job::Finish() {
  ExitWithin(kEndTimeout, "the job has ended", 1);
  if (watchdog_server_ != nullptr) watchdog_server_->StopWatching();
  return world_->Barrier();
}

void Job::Abandon(const absl::Status& status) {
  spdlog::error("the job ends: {}", std::string(status.message()));
  spdlog::default_logger()->flush();
  std::_Exit(1);
}

}  // namespace sdar
