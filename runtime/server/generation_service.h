// SPDX-License-Identifier: Apache-2.0
// The service that every transport offers, over a router.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "common/steady_condition.h"
#include "common/steady_time.h"
#include "runtime/cluster/router.h"
#include "runtime/cluster/watchdog.h"
#include "runtime/request/request_fields.h"
#include "runtime/server/access_keys.h"
#include "runtime/server/delivery.h"
#include "runtime/server/generate_stream.h"
#include "runtime/server/generation_call.h"
#include "runtime/server/health.h"
#include "runtime/server/metrics/server_metrics.h"
#include "runtime/server/traces/otlp_exporter.h"
#include "runtime/text/text_codec.h"
#include "sdar/v1/generation.pb.h"

namespace sdar {

// Knows no transport (GrpcGateway, HttpGateway). Nothing here waits for the engine. Thread-safe.
class GenerationService {
 public:
  struct Config {
    RequestDefaults defaults;
    sdar::v1::GetModelInfoResponse model_info;
    std::string model_name;  // in metrics
    // What the start consisted of and how long each part took.
    std::vector<std::pair<std::string, absl::Duration>> load_phases;
    std::function<std::vector<RankHealth>()> rank_health;  // one per rank
    HealthLimits health_limits;          // beyond them a balancer should go elsewhere
    HealthLimits stall_limits;           // beyond them a restart is all that helps
    AccessKeys* access = nullptr;        // who may call; null: everybody
    OtlpExporter* traces = nullptr;      // who gets spans of calls; null: nobody
    size_t max_backlog_bytes = 1 << 20;  // per call, of answers that its client does not take
  };
  // Requires: text and router outlive the service and its calls.
  GenerationService(Config config, const TextCodec& text, Router& router);

  // Unauthenticated unless the value of an Authorization header, or of gRPC's metadata of that
  // name, lets its sender in. Every transport asks before it does anything for a caller.
  absl::Status CheckAccess(absl::string_view authorization) const;

  // From now on health says NOT_SERVING for the reason `why`, while calls are still taken.
  void Retire(const absl::Status& why);
  // Whether the service has been retired, or refuses calls: connections should not be kept.
  bool IsLeaving() const;
  // From now on new calls get `status`.
  void Refuse(const absl::Status& status);
  // Refuses new calls, ends the open ones with `status`, and waits for at most `timeout` until they
  // are over.
  void FailAll(const absl::Status& status, absl::Duration timeout);

  // Calls that have begun and are not over.
  size_t num_open_calls() const;

  // Why health should say NOT_SERVING; empty while it should say SERVING.
  std::string FindTrouble() const;
  // Why the process should be restarted; empty while it should not. Refusing calls is no reason.
  std::string FindStall() const;

  // What would refuse a call, whatever else runs. Counts as a refusal.
  absl::Status Check(GenerationCall call);
  // Queues a call's samples; the call has to Begin, and to be closed when it is over. Errors as of
  // the Generate and Score methods (generation.proto).
  absl::StatusOr<std::shared_ptr<GenerateStream>> Open(GenerationCall call);
  void Close(const std::shared_ptr<GenerateStream>& stream);
  // A transport has refused a call before it could be opened.
  void CountRefusal(const absl::Status& status) { metrics_.Refused(status.code()); }

  // A part of the start that came after those of the config, and is part of "ready" too.
  void AddLoadPhase(const std::string& phase, absl::Duration duration) {
    metrics_.AddLoadPhase(phase, duration);
  }

  // All metrics in Prometheus' text format. Waits for no step.
  std::string Metrics() const;

  const sdar::v1::GetModelInfoResponse& model_info() const { return config_.model_info; }
  const RequestDefaults& defaults() const { return config_.defaults; }
  const TextCodec& text() const { return text_; }

  // Ends the open call with an id. NotFound when there is none.
  absl::Status Abort(const std::string& request_id);
  sdar::v1::GetStatusResponse GetStatus() const;

 private:
  absl::StatusOr<std::vector<GenerationRequest>> BuildSamples(GenerationCall& call) const;
  std::optional<CallTrace::Call> TraceOf(const GenerationCall& call,
                                         const std::vector<GenerationRequest>& samples) const;
  absl::Status Submit(std::vector<GenerationRequest> samples,
                      const std::shared_ptr<GenerateStream>& stream);
  HealthView View() const;
  absl::StatusOr<std::string> TakeRequestId(const GenerationCall& call)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsOpen(const std::string& request_id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::shared_ptr<GenerateStream>> Register(const GenerationCall& call,
                                                           GenerateStream::Options options);
  absl::StatusOr<std::shared_ptr<GenerateStream>> TryOpen(GenerationCall call);
  std::vector<RankHealth> HealthOfRanks(const EngineStatus& first_replica, SteadyTime now) const;

  Config config_;
  const TextCodec& text_;
  Router& router_;
  ServerMetrics metrics_;

  mutable absl::Mutex mutex_;
  SteadyCondition closed_;  // open_ has become smaller
  absl::Status retirement_ ABSL_GUARDED_BY(mutex_);
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  std::set<std::shared_ptr<GenerateStream>> open_ ABSL_GUARDED_BY(mutex_);
  // Of these, the last with an id: another may have it once that one has ended.
  std::map<std::string, std::shared_ptr<GenerateStream>> by_id_ ABSL_GUARDED_BY(mutex_);
  Delivery delivery_;
};

}  // namespace sdar
