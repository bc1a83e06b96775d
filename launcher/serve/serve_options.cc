// SPDX-License-Identifier: Apache-2.0
#include "launcher/serve/serve_options.h"

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

absl::Status CheckSeconds(const char* flag, double seconds) {
  if (seconds >= 0 && seconds <= 86400) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": expected 0 .. 86400 seconds, got ", seconds));
}

absl::Status CheckPort(absl::string_view flag, int port, int least) {
  if (port >= least && port <= 65535) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": expected ", least, " .. 65535, got ", port));
}

void AddAddressFlags(ServeOptions& options, FlagSpec& spec) {
  spec.Group("Addresses")("host", Flag(&options.host, "HOST"),
                          "addresses or names to listen on, by commas; loopback unless asked "
                          "for more")("port", Flag(&options.port, "PORT"),
                                      "port to listen on; 0: a free one")(
      "address-file", TextFlag(&options.address_file, "FILE"),
      "file to write HOST:PORT to once the job serves")(
      "http-port", Flag(&options.http_port, "PORT"), "port for HTTP; 0: a free one; -1: no HTTP")(
      "http-address-file", TextFlag(&options.http_address_file, "FILE"),
      "file to write HTTP's HOST:PORT to once the job serves")(
      "admin-port", Flag(&options.admin_port, "PORT"),
      "port where /livez, /readyz, /startupz, /health and /metrics are answered without TLS, "
      "whatever the other ports are busy with; 0: a free one; -1: none")(
      "admin-host", Flag(&options.admin_host, "HOST"), "addresses or names to listen on for it")(
      "admin-address-file", TextFlag(&options.admin_address_file, "FILE"),
      "file to write its HOST:PORT to, as soon as it answers");
}

void AddSecurityFlags(ServeOptions& options, FlagSpec& spec) {
  spec.Group("Security")(
      "api-keys-file", TextFlag(&options.api_keys_file, "FILE"),
      "file of bearer tokens, one a line, one of which callers must show; read again when it "
      "changes")("tls-cert", TextFlag(&options.tls.certificate, "FILE"),
                 "PEM file of the server's certificate chain: gRPC and HTTP speak TLS; read again "
                 "when it changes")("tls-key", TextFlag(&options.tls.key, "FILE"),
                                    "PEM file of its key")(
      "tls-client-ca", TextFlag(&options.tls.client_ca, "FILE"),
      "PEM file of the authorities of which clients must show a certificate")(
      "allowed-origins", TextFlag(&options.allowed_origins, "ORIGINS"),
      "origins whose pages may ask over HTTP, as https://chat.example.org, by commas; *: all")(
      "strict-fields", SwitchFlag(&options.strict_fields),
      "refuse fields of HTTP bodies that nobody knows, instead of logging each once");
}

void AddObservingFlags(ServeOptions& options, FlagSpec& spec) {
  spec.Group("Logs and records")(
      "otlp-endpoint", TextFlag(&options.otlp_endpoint, "URL"),
      "OpenTelemetry collector to send traces to, as http://HOST:4318 (OTLP/HTTP); without, as the "
      "environment's OTEL_EXPORTER_OTLP_ENDPOINT says");
}

// Those in the same groups as flags of every job.
void AddServingFlags(ServeOptions& options, FlagSpec& spec) {
  spec.Group("Model")("served-model-name", TextFlag(&options.served_model_name, "NAMES"),
                      "names of the model over HTTP, by commas; without, its folder's name")(
      "no-warm-up", SwitchFlag(&options.no_warm_up),
      "serve at once, and let the first requests be slower");
  spec.Group("Memory and batching")(
      "max-waiting", Flag(&options.job.max_waiting),
      "samples in the queue at most; more are refused with RESOURCE_EXHAUSTED")(
      "max-waiting-tokens", Flag(&options.job.max_waiting_tokens),
      "prompt tokens in the queue at most")(
      "max-stream-backlog", Flag(&options.max_stream_backlog_kib, "KIB"),
      "KiB of a call's answer that may wait for a slow reader, not counting what gRPC buffers");
  spec.Group("Time limits")(
      "drain-timeout", Flag(&options.drain_timeout_s, "SECONDS"),
      "seconds that calls in hand may take after SIGUSR1, when new ones are refused")(
      "drain-delay", Flag(&options.drain_delay_s, "SECONDS"),
      "seconds after SIGUSR1 in which health and /readyz say no but calls are still taken, so that "
      "balancers go elsewhere; the drain's time begins after them")(
      "sigterm", Flag(&options.sigterm, "stop|drain"),
      "what SIGTERM does: stop at once, or drain as SIGUSR1 does (Slurm's scancel sends it to "
      "every "
      "rank)");
}

}  // namespace

absl::Status ServeOptions::Validate() const {
  SDAR_RETURN_IF_ERROR(CheckPort("--port", port, 0));
  SDAR_RETURN_IF_ERROR(CheckPort("--http-port", http_port, -1));
  SDAR_RETURN_IF_ERROR(CheckPort("--admin-port", admin_port, -1));
  SDAR_RETURN_IF_ERROR(CheckSeconds("--drain-timeout", drain_timeout_s));
  SDAR_RETURN_IF_ERROR(CheckSeconds("--drain-delay", drain_delay_s));
  if (sigterm != "stop" && sigterm != "drain") {
    return absl::InvalidArgumentError(
        absl::StrCat("--sigterm: expected stop or drain, got '", sigterm, "'"));
  }
  if (max_stream_backlog_kib >= 1 && max_stream_backlog_kib <= int64_t{1} << 20) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--max-stream-backlog: expected 1 .. 1048576, got ", max_stream_backlog_kib));
}

FlagSpec MakeServeFlags(ServeOptions& options) {
  FlagSpec spec;
  spec.program = "sdar-serve";
  spec.purpose =
      "Serves a model over gRPC (sdar.v1.GenerationService, health, reflection) and HTTP (OpenAI's "
      "API)\nuntil SIGTERM or Ctrl-C (at once) or SIGUSR1 (after the calls in hand). Under mpirun "
      "rank 0 listens\nand the model is split over all ranks, or over groups of them that are "
      "replicas (--tensor-parallel).";
  spec.usage = "[mpirun -n RANKS] sdar-serve DIR [--host=HOST] [--port=PORT] [flags]";
  spec.positional = "model";
  spec.Group("Model");  // first; then how to reach it, and its many settings
  AddAddressFlags(options, spec);
  AddSecurityFlags(options, spec);
  AddObservingFlags(options, spec);
  AddJobFlags(options.job, spec);
  AddServingFlags(options, spec);
  spec.man.summary = "serves an SDAR language model over gRPC and HTTP";
  spec.man.files.push_back({"/etc/sdar/sdar.env", "Settings of the systemd unit sdar.service."});
  spec.man.see_also = "sdar-launch(1), sdar-client(1), sdar-checkpoint(1), mpirun(1)";
  return spec;
}

}  // namespace sdar
