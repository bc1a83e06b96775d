// SPDX-License-Identifier: Apache-2.0
// sdar-serve: a model behind gRPC, on one process or on all ranks of an mpirun job.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

#include "common/log.h"
#include "common/status_macros.h"
#include "launcher/flags.h"
#include "launcher/job_main.h"
#include "launcher/signal_watcher.h"
#include "runtime/model/safetensors_writer.h"
#include "runtime/server/generation_service.h"
#include "runtime/server/grpc_server.h"

namespace sdar {
namespace {

constexpr char kProgram[] = "sdar-serve";
constexpr char kVersion[] = "0.1.0";
// How long open calls may take to hear that the job ends.
constexpr absl::Duration kFailTimeout = absl::Milliseconds(400);
// How long the engine may take to end what runs; then the calls are ended without it.
constexpr absl::Duration kStopTimeout = absl::Milliseconds(400);

struct Options {
  JobOptions job;
  std::string host = "127.0.0.1";
  int port = 50051;
  std::string address_file;
  int64_t max_stream_backlog_kib = 1024;

  absl::Status Validate() const {
    if (max_stream_backlog_kib >= 1 && max_stream_backlog_kib <= int64_t{1} << 20) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        absl::StrCat("--max-stream-backlog: expected 1 .. 1048576, got ", max_stream_backlog_kib));
  }
};

FlagSpec MakeFlags(Options& options) {
  FlagSpec spec;
  spec.program = kProgram;
  spec.purpose =
      "Serves a model over gRPC (sdar.v1.GenerationService, health, reflection) until SIGTERM or "
      "Ctrl-C.\nUnder mpirun rank 0 listens and the model is split over all ranks, or over groups "
      "of them\n"
      "that are replicas (--tensor-parallel).";
  spec.usage = "[mpirun -n RANKS] sdar-serve --model=DIR [--host=HOST] [--port=PORT] [flags]";
  spec.options.add_options()("host", Flag(&options.host),
                             "address to listen on; there is no TLS, so think before 0.0.0.0")(
      "port", Flag(&options.port), "port to listen on; 0: a free one")(
      "address-file", TextFlag(&options.address_file),
      "file to write HOST:PORT to once the job serves")(
      "max-stream-backlog", Flag(&options.max_stream_backlog_kib),
      "KiB of a call's answer that may wait for a slow reader, beside what gRPC buffers")(
      "max-waiting", Flag(&options.job.max_waiting),
      "samples in the queue at most; more are refused with RESOURCE_EXHAUSTED")(
      "max-waiting-tokens", Flag(&options.job.max_waiting_tokens),
      "prompt tokens in the queue at most");
  AddJobFlags(options.job, spec);
  return spec;
}

sdar::v1::GetModelInfoResponse MakeModelInfo(const Options& options, Job& job) {
  const ModelConfig& model = job.config();
  sdar::v1::GetModelInfoResponse info;
  const std::filesystem::path folder(options.job.model);
  info.set_model((folder.has_filename() ? folder : folder.parent_path()).filename().string());
  info.set_model_type(std::string(Name(model.model_type)));
  info.set_parameters(static_cast<uint64_t>(model.NumParameters()));
  info.set_vocab_size(static_cast<uint32_t>(model.vocab_size));
  info.set_max_sequence_length(static_cast<uint32_t>(job.limits().max_sequence_length));
  info.set_block_length(static_cast<uint32_t>(job.defaults().block_length));
  info.set_mask_token_id(static_cast<uint32_t>(job.mask_token()));
  for (TokenId id : job.defaults().generation.eos_token_ids) {
    info.add_eos_token_ids(static_cast<uint32_t>(id));
  }
  info.set_dtype(options.job.dtype);
  info.set_backend(job.backend().Description());
  info.set_ranks(static_cast<uint32_t>(job.num_ranks()));
  info.set_version(kVersion);
  info.set_replicas(static_cast<uint32_t>(job.router().num_replicas()));
  return info;
}

// What the watchdog must reach to answer open calls when a rank is lost.
struct Front {
  absl::Mutex mutex;
  GenerationService* service ABSL_GUARDED_BY(mutex) = nullptr;

  void Fail(const absl::Status& status) {
    absl::MutexLock lock(&mutex);
    if (service != nullptr) service->FailAll(status, kFailTimeout);
  }
  void Set(GenerationService* to) {
    absl::MutexLock lock(&mutex);
    service = to;
  }
};

absl::Status Serve(const Options& options, Job& job, Front& front, SignalWatcher& signals) {
  GenerationService::Config config;
  config.defaults = job.defaults();
  config.model_info = MakeModelInfo(options, job);
  config.rank_health = [&job] {
    return job.watchdog() == nullptr ? std::vector<RankHealth>(1) : job.watchdog()->Health();
  };
  config.max_backlog_bytes = static_cast<size_t>(options.max_stream_backlog_kib) << 10;
  // A stuck step shows before it ends the job.
  config.health_limits.step_age =
      std::min(config.health_limits.step_age, absl::Seconds(options.job.step_timeout_s) / 2);
  GenerationService service(config, job.text(), job.router());
  auto server = GrpcServer::Start(options.host, options.port, service);
  absl::Status status = server.status();
  if (status.ok() && !options.address_file.empty()) {
    status = WriteFileAtomically(options.address_file, (*server)->address() + "\n");
  }
  if (!status.ok()) {
    job.Stop(absl::UnavailableError("the job does not start"));
    SDAR_RETURN_IF_ERROR(job.RunEngine());
    SDAR_RETURN_IF_ERROR(job.Finish());
    return status;
  }
  front.Set(&service);
  std::optional<HealthWatch> health;
  health.emplace([&service] { return service.FindTrouble(); },
                 [&server](const std::string& trouble) {
                   (*server)->SetServing(trouble.empty());
                   if (trouble.empty()) spdlog::info("health: SERVING again");
                   if (!trouble.empty()) spdlog::warn("health: NOT_SERVING: {}", trouble);
                 });
  const absl::Status stopping = absl::UnavailableError("the server is stopping");
  absl::Notification engine_ended;
  signals.OnSignal([&](int signal) {
    spdlog::info("signal {}: stopping", signal);
    service.Refuse(stopping);
    job.Stop(stopping);
    // mpirun kills, a second after SIGTERM, a rank that waits for one that is lost.
    if (!engine_ended.WaitForNotificationWithTimeout(kStopTimeout)) {
      service.FailAll(stopping, kFailTimeout);
    }
  });
  spdlog::info("serving {} on {} with {} replica(s) of {} rank(s)", config.model_info.model(),
               (*server)->address(), job.num_replicas(), job.group_size());
  std::thread engine([&] {
    const absl::Status run = job.RunEngine();
    if (run.ok()) return engine_ended.Notify();
    front.Fail(absl::UnavailableError(absl::StrCat("the job has failed: ", run.message())));
    job.Abandon(run);
  });
  engine.join();
  health.reset();
  (*server)->SetServing(false);
  service.FailAll(stopping, kFailTimeout);
  signals.OnSignal([](int) {});
  front.Set(nullptr);
  server->reset();
  if (!options.address_file.empty()) std::filesystem::remove(options.address_file);
  return job.Finish();
}

int Main(int argc, char** argv) {
  Options options;
  FlagSpec spec = MakeFlags(options);
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, argc, argv);
  if (!outcome.ok()) return ExitCode(kProgram, outcome.status());
  if (*outcome == FlagOutcome::kHelpPrinted) return 0;
  if (const absl::Status status = options.Validate(); !status.ok()) {
    return ExitCode(kProgram, status);
  }
  SignalWatcher signals;
  Front front;
  Job::Hooks hooks;
  hooks.on_failure = [&front](const absl::Status& status) { front.Fail(status); };
  return RunJob(kProgram, options.job, std::move(hooks), signals,
                [&](Job& job) { return Serve(options, job, front, signals); });
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
