// SPDX-License-Identifier: Apache-2.0
// sdar-serve: a model behind gRPC, on one process or on all ranks of an mpirun job.
#include <algorithm>
#include <filesystem>
#include <fstream>
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
#include "launcher/exit_deadline.h"
#include "launcher/flags.h"
#include "launcher/job_main.h"
#include "launcher/signal_watcher.h"
#include "runtime/model/safetensors_writer.h"
#include "runtime/server/access_keys.h"
#include "runtime/server/generation_service.h"
#include "runtime/server/graceful_stop.h"
#include "runtime/server/grpc_server.h"
#include "runtime/server/http/http_gateway.h"
#include "runtime/server/http/http_server.h"
#include "runtime/server/tls_files.h"

namespace sdar {
namespace {

constexpr char kProgram[] = "sdar-serve";
constexpr char kVersion[] = "0.1.0";
// How long open calls may take to hear that the job ends.
constexpr absl::Duration kFailTimeout = absl::Milliseconds(400);
// How long the process may take to end once it is to stop and not to drain any more.
constexpr absl::Duration kStopTimeout = absl::Seconds(5);
// A rank that has not been heard of for so long has its process restarted by whoever probes it.
constexpr absl::Duration kStalledSilence = absl::Seconds(30);

struct Options {
  JobOptions job;
  std::string host = "127.0.0.1";
  int port = 50051;
  std::string address_file;
  int http_port = 8000;
  std::string http_address_file;
  std::string served_model_name;
  int64_t max_stream_backlog_kib = 1024;
  double drain_timeout_s = 30;
  std::string api_keys_file;
  TlsFiles tls;

  absl::Status Validate() const {
    if (http_port < -1 || http_port > 65535) {
      return absl::InvalidArgumentError(
          absl::StrCat("--http-port: expected -1 .. 65535, got ", http_port));
    }
    if (!(drain_timeout_s >= 0 && drain_timeout_s <= 86400)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--drain-timeout: expected 0 .. 86400 seconds, got ", drain_timeout_s));
    }
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
      "Serves a model over gRPC (sdar.v1.GenerationService, health, reflection) and HTTP (OpenAI's "
      "API)\nuntil SIGTERM or Ctrl-C (at once) or SIGUSR1 (after the calls in hand). Under mpirun "
      "rank 0 listens and the model is split over all "
      "ranks, or over groups "
      "of them\n"
      "that are replicas (--tensor-parallel).";
  spec.usage = "[mpirun -n RANKS] sdar-serve --model=DIR [--host=HOST] [--port=PORT] [flags]";
  spec.options.add_options()("host", Flag(&options.host),
                             "address to listen on; loopback unless asked for more")(
      "port", Flag(&options.port), "port to listen on; 0: a free one")(
      "address-file", TextFlag(&options.address_file),
      "file to write HOST:PORT to once the job serves")(
      "http-port", Flag(&options.http_port), "port for HTTP; 0: a free one; -1: no HTTP")(
      "http-address-file", TextFlag(&options.http_address_file),
      "file to write HTTP's HOST:PORT to once the job serves")(
      "served-model-name", TextFlag(&options.served_model_name),
      "names of the model over HTTP, by commas; without, its folder's name")(
      "max-stream-backlog", Flag(&options.max_stream_backlog_kib),
      "KiB of a call's answer that may wait for a slow reader, beside what gRPC buffers")(
      "api-keys-file", TextFlag(&options.api_keys_file),
      "file of bearer tokens, one a line, one of which callers must show; read again when it "
      "changes")("tls-cert", TextFlag(&options.tls.certificate),
                 "PEM file of the server's certificate chain: gRPC and HTTP speak TLS; read again "
                 "when it changes")("tls-key", TextFlag(&options.tls.key), "PEM file of its key")(
      "tls-client-ca", TextFlag(&options.tls.client_ca),
      "PEM file of the authorities of which clients must show a certificate")(
      "drain-timeout", Flag(&options.drain_timeout_s),
      "seconds that calls in hand may take after SIGUSR1, when new ones are refused")(
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
  info.set_dtype(options.job.Arithmetic());
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

// The listening ends.
struct Servers {
  std::unique_ptr<GrpcServer> grpc;
  std::unique_ptr<HttpGateway> gateway;
  std::unique_ptr<HttpServer> http;  // null without HTTP
};

// The first is the default.
std::vector<std::string> ServedNames(const Options& options,
                                     const sdar::v1::GetModelInfoResponse& info) {
  std::vector<std::string> names =
      absl::StrSplit(options.served_model_name, ',', absl::SkipEmpty());
  if (names.empty()) names.push_back(info.model());
  return names;
}

absl::Status Listen(const Options& options, GenerationService& service, Servers& servers) {
  SDAR_ASSIGN_OR_RETURN(servers.grpc,
                        GrpcServer::Start(options.host, options.port, options.tls, service));
  if (options.http_port >= 0) {
    servers.gateway =
        std::make_unique<HttpGateway>(service, ServedNames(options, service.model_info()));
    HttpServerOptions http;
    http.host = options.host;
    http.port = options.http_port;
    http.tls = options.tls;
    SDAR_ASSIGN_OR_RETURN(
        servers.http,
        HttpServer::Start(http, [gateway = servers.gateway.get()](HttpExchange exchange) {
          gateway->Handle(std::move(exchange));
        }));
    if (!options.http_address_file.empty()) {
      SDAR_RETURN_IF_ERROR(
          WriteFileAtomically(options.http_address_file, servers.http->address() + "\n"));
    }
  }
  if (options.address_file.empty()) return absl::OkStatus();
  return WriteFileAtomically(options.address_file, servers.grpc->address() + "\n");
}

GenerationService::Config ServiceConfig(const Options& options, Job& job, AccessKeys* access) {
  GenerationService::Config config;
  config.access = access;
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

absl::Status Serve(const Options& options, Job& job, AccessKeys* access, Front& front,
                   SignalWatcher& signals) {
  const GenerationService::Config config = ServiceConfig(options, job, access);
  GenerationService service(config, job.text(), job.router());
  Servers servers;
  if (absl::Status status = Listen(options, service, servers); !status.ok()) {
    job.Stop(absl::UnavailableError("the job does not start"));
    SDAR_RETURN_IF_ERROR(job.RunEngine());
    SDAR_RETURN_IF_ERROR(job.Finish());
    return status;
  }
  front.Set(&service);
  std::optional<HealthWatch> health;
  health.emplace([&service] { return service.FindTrouble(); },
                 [&servers](const std::string& trouble) {
                   servers.grpc->SetServing(trouble.empty());
                   if (trouble.empty()) spdlog::info("health: SERVING again");
                   if (!trouble.empty()) spdlog::warn("health: NOT_SERVING: {}", trouble);
                 });
  GracefulStop::Timeouts timeouts;
  timeouts.drain = absl::Seconds(options.drain_timeout_s);
  timeouts.answers = kFailTimeout;
  GracefulStop stop(
      service,
      [&job](const absl::Status& status) {
        ExitWithin(kStopTimeout, "stopping", 1);
        job.Stop(status);
      },
      timeouts);
  // Whatever is stuck, a stop that was asked for comes: the bound stands before anything is called.
  signals.OnSignal(
      [&stop, drain_bound = timeouts.drain + 2 * kStopTimeout, last = 0](int signal) mutable {
        if (signal == last) return;  // sdar-launch repeats SIGUSR1
        last = signal;
        const bool drain = signal == SIGUSR1;
        ExitWithin(drain ? drain_bound : kStopTimeout, drain ? "draining" : "stopping", 1);
        spdlog::info("signal {}: {}", signal, drain ? "draining" : "stopping");
        if (drain) stop.Drain();
        if (!drain) stop.Stop();
      });
  spdlog::info("serving {} on {} (gRPC) and {} (HTTP) with {} replica(s) of {} rank(s)",
               config.model_info.model(), servers.grpc->address(),
               servers.http == nullptr ? "no port" : servers.http->address(), job.num_replicas(),
               job.group_size());
  std::thread engine([&] {
    const absl::Status run = job.RunEngine();
    stop.EngineEnded();
    if (run.ok()) return;
    front.Fail(absl::UnavailableError(absl::StrCat("the job has failed: ", run.message())));
    job.Abandon(run);
  });
  engine.join();
  health.reset();
  servers.grpc->SetServing(false);
  service.FailAll(absl::UnavailableError("the server is stopping"), kFailTimeout);
  signals.OnSignal([](int) {});
  front.Set(nullptr);
  servers.http.reset();
  servers.gateway.reset();
  servers.grpc.reset();
  for (const std::string& file : {options.address_file, options.http_address_file}) {
    if (!file.empty()) std::filesystem::remove(file);
  }
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
  std::unique_ptr<AccessKeys> access;  // rank 0; null: everybody may call
  Job::Hooks hooks;
  hooks.prepare = [&options, &access] {
    SDAR_RETURN_IF_ERROR(options.tls.Check());
    if (options.api_keys_file.empty()) return absl::OkStatus();
    SDAR_ASSIGN_OR_RETURN(access, AccessKeys::Open(options.api_keys_file));
    return absl::OkStatus();
  };
  hooks.on_failure = [&front](const absl::Status& status) { front.Fail(status); };
  return RunJob(kProgram, options.job, std::move(hooks), signals,
                [&](Job& job) { return Serve(options, job, access.get(), front, signals); });
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
