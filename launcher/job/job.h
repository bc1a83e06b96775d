// SPDX-License-Identifier: Apache-2.0
// One process of a job, from command line to a model that runs in lockstep with the other ranks.
// The only place that names concrete backends and communicators.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "kernels/backend.h"
#include "kernels/cpu/core_assignment.h"
#include "kernels/cpu/instruction_set.h"
#include "launcher/cuda/cuda_module.h"
#include "launcher/job/job_options.h"
#include "parallel/communicator.h"
#include "parallel/mpi_communicator.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/model_location.h"
#include "runtime/cluster/replica_client.h"
#include "runtime/cluster/replica_server.h"
#include "runtime/cluster/router.h"
#include "runtime/cluster/watchdog.h"
#include "runtime/engine/engine.h"
#include "runtime/request/request_fields.h"
#include "runtime/text/text_codec.h"

namespace sdar {

// Lives on the main thread. The ranks start together: what stops one of them stops all, with one
// message.
class Job {
 public:
  // on_failure: rank 0 only; called on a thread of the watchdog when another rank is lost or stuck,
  // before the process exits. Keep it short: it has to answer open calls.
  struct Hooks {
    bool needs_text = true;  // load the tokenizer on first ranks; without, one replica only
    // Rank 0: what can fail before the model is loaded, such as opening files.
    std::function<absl::Status()> prepare = [] { return absl::OkStatus(); };
    // Every rank, first of all: changes the options in the same way.
    std::function<absl::Status(JobOptions&)> adjust = [](JobOptions&) { return absl::OkStatus(); };
    std::function<void(const absl::Status&)> on_failure = [](const absl::Status&) {};
  };

  // How long all ranks together may take to end, once they have nothing more to do.
  static constexpr absl::Duration kEndTimeout = absl::Seconds(10);

  // Initialises MPI where mpirun started the process, connects the watchdog, and loads this rank's
  // shard. A rank that dies or hangs meanwhile ends the job as it does later; loading may take as
  // long as it likes. Errors are the same on every rank.
  static absl::StatusOr<std::unique_ptr<Job>> Start(const JobOptions& options, Hooks hooks);
  ~Job();

  // Of the whole job.
  int rank() const { return world_->rank(); }
  int num_ranks() const { return world_->size(); }
  // Consecutive ranks make a group, which holds a replica of the model.
  int group_size() const;
  int replica() const { return rank() / group_size(); }
  int num_replicas() const { return num_ranks() / group_size(); }
  bool is_first_of_group() const { return rank() % group_size() == 0; }
  bool is_coordinator() const { return rank() == 0; }

  const JobOptions& options() const { return options_; }
  const ModelConfig& config() const { return checkpoint_->config(); }
  const ModelLocation& location() const { return location_; }
  const RequestLimits& limits() const { return limits_; }
  const RequestDefaults& defaults() const { return defaults_; }
  Backend& backend() { return *device_.backend; }
  Worker& worker() { return *worker_; }
  StepChannel& channel() { return *channel_; }
  // Requires: hooks.needs_text, rank 0.
  const TextCodec& text() const { return *text_; }
  TokenId mask_token() const { return mask_token_; }
  // Rank 0 with text: the queue before the replicas.
  Router& router() { return *router_; }
  // What the start consisted of and how long each part took here, the wait for the other ranks
  // included; the last, "ready", is all of it.
  const std::vector<std::pair<std::string, absl::Duration>>& load_phases() const {
    return load_phases_;
  }
  // Rank 0 of several: null otherwise.
  const WatchdogServer* watchdog() const { return watchdog_server_.get(); }

  // What a record of this rank's plans says about the job, and what a replay compares with.
  sdar::v1::PlanRecordHeader RecordHeader() const;

  // Other ranks: does as the plans say until SHUTDOWN. An error has ended the lockstep: call
  // Abandon.
  absl::Status RunWorker();
  // The first rank of a group other than rank 0's: runs its engine until rank 0's Stop. Likewise.
  absl::Status RunReplica();
  // Rank 0: runs the engine on the calling thread until Stop.
  absl::Status RunEngine();
  // Rank 0 with text: ends all requests with `status` and makes all replicas' engines return. Any
  // thread.
  void Stop(const absl::Status& status);
  // Rank 0 without an engine: ends the other ranks' loops with the next step id.
  absl::Status SendShutdown();
  // All ranks, after a clean end: waits for the others and takes the watchdog down.
  absl::Status Finish();
  // Logs and ends the process at once: the other ranks follow. Never returns.
  [[noreturn]] void Abandon(const absl::Status& status);

 private:
  Job(const JobOptions& options, Hooks hooks);

  absl::Status Meet();
  absl::Status CheckOptions();
  absl::Status Load();
  void Leave();
  absl::Status RunPhase(const char* name, absl::Status (Job::*phase)());
  absl::Status Connect();
  void StartLogging() const;
  absl::Status CheckGroups() const;
  absl::Status SplitRanks();
  absl::Status OpenModel();
  // Says what of the model's folder has no effect.
  void WarnOfIgnored() const;
  struct Neighbours {
    int count;
    int before;
  };
  Neighbours FindNeighbours() const;
  absl::Status MakeDevice();
  absl::Status OpenCuda(const CudaModule& cuda, int num_devices);
  // why_no_gpu: empty where the CPU was asked for.
  absl::Status OpenCpu(const std::string& why_no_gpu);
  absl::Status LoadWeights();
  absl::Status ChoosePages();
  absl::Status LoadModel();
  absl::Status LoadText();
  absl::Status StartWatchdog();
  std::string OwnAddress() const;
  absl::StatusOr<std::string> Listen(const WatchdogOptions& options);
  void CallRankZero(const WatchdogOptions& options, const std::string& address);
  absl::Status JoinReplicas();
  StepProgress OwnProgress() const;
  void WarnOfMachine(const AllowedCores& allowed, const std::string& why_no_gpu) const;
  absl::StatusOr<InstructionSet> FindInstructionSet(DType act_dtype, const CoreShare& cores);
  absl::StatusOr<CoreShare> FindCores(const AllowedCores& allowed);
  int64_t PagesOf(int64_t memory_bytes) const;
  absl::Status CheckPages(int64_t pages) const;
  absl::Status MakeEngine();
  std::string RecordPath() const;
  void MakeRouter();

  JobOptions options_;
  Hooks hooks_;
  std::unique_ptr<MpiSession> mpi_;
  std::unique_ptr<Communicator> world_;   // start and end
  std::unique_ptr<Communicator> group_;   // steps
  MpiCommunicator* mpi_group_ = nullptr;  // group_, under mpirun
  std::vector<std::string> hosts_;        // by rank
  ModelLocation location_;
  std::optional<Checkpoint> checkpoint_;
  RequestLimits limits_;
  RequestDefaults defaults_;
  TokenId mask_token_ = kNoToken;
  Device device_;
  int memory_sharers_ = 1;  // ranks that share the device's memory
  ShardedWeights weights_;  // until the model has them
  std::vector<std::pair<std::string, absl::Duration>> load_phases_;
  absl::Duration load_time_;
  std::unique_ptr<SdarModel> model_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<TextCodec> text_;
  Doorbell doorbell_;
  // For the watchdog's threads, which run before there is any of these; null: not yet, or none.
  std::atomic<Engine*> running_engine_{nullptr};
  std::atomic<Communicator*> tensors_{nullptr};
  std::atomic<uint64_t> finished_steps_{0};  // of a rank without an engine
  std::unique_ptr<StepChannel> channel_;
  std::unique_ptr<Engine> engine_;  // first ranks with text
  std::unique_ptr<Router> router_;
  std::unique_ptr<ReplicaServer> replica_server_;  // rank 0 of several replicas
  std::unique_ptr<ReplicaClient> replica_client_;  // the other first ranks
  std::string rank_zero_;                          // address of its watchdog
  std::unique_ptr<WatchdogServer> watchdog_server_;
  std::unique_ptr<WatchdogClient> watchdog_client_;
};

}  // namespace sdar
