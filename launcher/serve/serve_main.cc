// SPDX-License-Identifier: Apache-2.0
// sdar-serve: a model behind gRPC, on one process or on all ranks of an mpirun job.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

#include "common/log.h"
#include "common/status_macros.h"
#include "launcher/flags/flags.h"
#include "launcher/job/exit_deadline.h"
#include "launcher/job/job_main.h"
#include "launcher/job/signal_watcher.h"
#include "launcher/serve/listeners.h"
#include "launcher/serve/serve_options.h"
#include "launcher/serve/trace_options.h"
#include "launcher/serve/warm_up.h"
#include "runtime/server/access_keys.h"
#include "runtime/server/generation_service.h"
#include "runtime/server/graceful_stop.h"
#include "runtime/server/text_workers.h"
#include "runtime/server/traces/otlp_exporter.h"

// Read by jemalloc, which this program is linked with: what a burst of connections has used goes
// back to the system a second later. The C library's allocator keeps a page for every small object
// that gRPC keeps of each of ten thousand connections.
extern "C" {
const char* malloc_conf = "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0";
}

namespace sdar {
namespace {

constexpr char kProgram[] = "sdar-serve";
// How long open calls may take to hear that the job ends.
constexpr absl::Duration kFailTimeout = absl::Milliseconds(400);
// How long the process may take to end once it is to stop and not to drain any more.
constexpr absl::Duration kStopTimeout = absl::Seconds(5);
// A rank that has not been heard of for so long has its process restarted by whoever probes it.
constexpr absl::Duration kStalledSilence = absl::Seconds(30);

sdar::v1::GetModelInfoResponse MakeModelInfo(const ServeOptions& options, Job& job) {
  const ModelConfig& model = job.config();
  sdar::v1::GetModelInfoResponse info;
  info.set_model(job.location().name);
  info.set_model_type(std::string(Name(model.model_type)));
  info.set_parameters(static_cast<uint64_t>(model.NumParameters()));
  info.set_vocab_size(static_cast<uint32_t>(model.vocab_size));
  info.set_max_sequence_length(static_cast<uint32_t>(job.limits().max_sequence_length));
  info.set_block_length(static_cast<uint32_t>(job.defaults().block_length));
  info.set_mask_token_id(static_cast<uint32_t>(job.mask_token()));
  for (TokenId id : job.defaults().generation.eos_token_ids) {
    info.add_eos_token_ids(static_cast<uint32_t>(id));
  }
  info.set_dtype(options.job.Arithmetic());
  info.set_backend(job.backend().Description());
  info.set_ranks(static_cast<uint32_t>(job.num_ranks()));
  info.set_version(std::string(Version()));
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

std::string EnvironmentValue(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// What rank 0 has to do with the world besides its ranks.
struct Outside {
  std::unique_ptr<AccessKeys> access;    // null: everybody may call
  std::unique_ptr<OtlpExporter> traces;  // null: nobody wants them
  std::unique_ptr<Listeners> listeners;

  absl::Status Open(const ServeOptions& options) {
    SDAR_ASSIGN_OR_RETURN(listeners, Listeners::Open(options));
    SDAR_ASSIGN_OR_RETURN(std::optional<OtlpOptions> otlp,
                          ReadTraceOptions(options, EnvironmentValue));
    if (otlp) traces = std::make_unique<OtlpExporter>(*std::move(otlp));
    if (options.api_keys_file.empty()) return absl::OkStatus();
    SDAR_ASSIGN_OR_RETURN(access, AccessKeys::Open(options.api_keys_file));
    return absl::OkStatus();
  }
};

// The first is the default.
std::vector<std::string> ServedNames(const ServeOptions& options,
                                     const sdar::v1::GetModelInfoResponse& info) {
  std::vector<std::string> names =
      absl::StrSplit(options.served_model_name, ',', absl::SkipEmpty());
  if (!names.empty()) return names;
  names.push_back(info.model());
  // A hub's name is also served without the organisation.
  const size_t slash = info.model().rfind('/');
  if (slash != std::string::npos) names.push_back(info.model().substr(slash + 1));
  return names;
}

GenerationService::Config ServiceConfig(const ServeOptions& options, Job& job,
                                        const Outside& outside) {
  GenerationService::Config config;
  config.access = outside.access.get();
  config.traces = outside.traces.get();
  config.defaults = job.defaults();
  config.model_info = MakeModelInfo(options, job);
  config.model_name = ServedNames(options, config.model_info)[0];
  config.load_phases = job.load_phases();
  config.rank_health = [&job] {
    return job.watchdog() == nullptr ? std::vector<RankHealth>(1) : job.watchdog()->Health();
  };
  config.max_backlog_bytes = static_cast<size_t>(options.max_stream_backlog_kib) << 10;
  // A stuck step shows before it ends the job.
  const absl::Duration step_timeout = absl::Seconds(options.job.step_timeout_s);
  config.health_limits.step_age = std::min(config.health_limits.step_age, step_timeout / 2);
  config.stall_limits = {step_timeout * 2, kStalledSilence};
  return config;
}

// Answers requests of its own before others may ask. Unavailable: the job stops.
absl::Status Warm(const ServeOptions& options, Job& job, GenerationService& service) {
  if (options.no_warm_up) return absl::OkStatus();
  const SteadyTime started = SteadyTime::Now();
  absl::Status status = WarmUp(job.router(), job.text(), job.defaults());
  if (absl::IsUnavailable(status)) return status;
  // What is wrong with one of them, a client's request may not have.
  if (!status.ok()) spdlog::warn("warming up: {}", std::string(status.message()));
  service.AddLoadPhase("warm_up", SteadyTime::Now() - started);
  return absl::OkStatus();
}

// Whatever is stuck, a stop that was asked for comes: the bound stands before anything is called.
void StopOnSignals(SignalWatcher& signals, GracefulStop& stop, const ServeOptions& options) {
  const absl::Duration drain_bound =
      absl::Seconds(options.drain_delay_s + options.drain_timeout_s) + 2 * kStopTimeout;
  signals.OnSignal([&stop, drain_bound, sigterm_drains = options.sigterm == "drain",
                    last = 0](int signal) mutable {
    if (signal == last) return;  // sdar-launch repeats SIGUSR1
    last = signal;
    const bool drain = signal == SIGUSR1 || (signal == SIGTERM && sigterm_drains);
    ExitWithin(drain ? drain_bound : kStopTimeout, drain ? "draining" : "stopping", 1);
    spdlog::info("signal {}: {}", signal, drain ? "draining" : "stopping");
    if (drain) stop.Drain();
    if (!drain) stop.Stop();
  });
}

// Answers until the engine has ended. An error: nobody could ask.
absl::Status ServeWhileItRuns(const ServeOptions& options, Job& job, GenerationService& service,
                              TextWorkers& workers, Listeners& listeners, std::thread& engine) {
  const absl::Status warm = Warm(options, job, service);
  absl::Status listens = warm;
  if (warm.ok()) {
    listens = listeners.Serve(service, workers, ServedNames(options, service.model_info()));
  }
  if (!listens.ok()) {
    job.Stop(absl::UnavailableError("the job does not start"));
    engine.join();
    // A stop meanwhile is no error.
    return absl::IsUnavailable(warm) ? absl::OkStatus() : listens;
  }
  HealthWatch health([&service] { return service.FindTrouble(); },
                     [&listeners](const std::string& trouble) {
                       listeners.SetServing(trouble.empty());
                       if (trouble.empty()) spdlog::info("health: SERVING again");
                       if (!trouble.empty()) spdlog::warn("health: NOT_SERVING: {}", trouble);
                     });
  spdlog::info("serving {} on {} (gRPC) and {} (HTTP) with {} replica(s) of {} rank(s)",
               service.model_info().model(), listeners.grpc_address(), listeners.http_address(),
               job.num_replicas(), job.group_size());
  engine.join();
  return absl::OkStatus();
}

absl::Status Serve(const ServeOptions& options, Job& job, Outside& outside, Front& front,
                   SignalWatcher& signals) {
  Listeners& listeners = *outside.listeners;
  GenerationService service(ServiceConfig(options, job, outside), job.text(), job.router());
  TextWorkers workers{TextWorkersOptions()};
  GracefulStop::Timeouts timeouts;
  timeouts.delay = absl::Seconds(options.drain_delay_s);
  timeouts.drain = absl::Seconds(options.drain_timeout_s);
  timeouts.answers = kFailTimeout;
  GracefulStop stop(
      service,
      [&job](const absl::Status& status) {
        ExitWithin(kStopTimeout, "stopping", 1);
        job.Stop(status);
      },
      timeouts);
  front.Set(&service);
  StopOnSignals(signals, stop, options);
  std::thread engine([&] {
    const absl::Status run = job.RunEngine();
    stop.EngineEnded();
    if (run.ok()) return;
    front.Fail(absl::UnavailableError(absl::StrCat("the job has failed: ", run.message())));
    job.Abandon(run);
  });
  absl::Status served = ServeWhileItRuns(options, job, service, workers, listeners, engine);
  listeners.SetServing(false);
  service.FailAll(absl::UnavailableError("the server is stopping"), kFailTimeout);
  signals.OnSignal([](int) {});
  front.Set(nullptr);
  workers.Stop();
  listeners.Close();
  SDAR_RETURN_IF_ERROR(job.Finish());
  return served;
}

int Main(int argc, char** argv) {
  ServeOptions options;
  FlagSpec spec = MakeServeFlags(options);
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, argc, argv);
  if (!outcome.ok()) return ExitCode(kProgram, outcome.status());
  if (*outcome == FlagOutcome::kPrinted) return 0;
  if (const absl::Status status = options.Validate(); !status.ok()) {
    return ExitCode(kProgram, status);
  }
  SignalWatcher signals;
  Front front;
  Outside outside;
  Job::Hooks hooks;
  hooks.prepare = [&options, &outside] { return outside.Open(options); };
  hooks.on_failure = [&front](const absl::Status& status) { front.Fail(status); };
  return RunJob(kProgram, options.job, std::move(hooks), signals,
                [&](Job& job) { return Serve(options, job, outside, front, signals); });
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
