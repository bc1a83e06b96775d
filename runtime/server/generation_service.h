// SPDX-License-Identifier: Apache-2.0
// sdar.v1.GenerationService over a router.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include <grpcpp/grpcpp.h>

#include "common/steady_condition.h"
#include "common/steady_time.h"
#include "runtime/engine/request_fields.h"
#include "runtime/engine/router.h"
#include "runtime/engine/watchdog.h"
#include "runtime/server/access_keys.h"
#include "runtime/server/delivery.h"
#include "runtime/server/generate_stream.h"
#include "runtime/server/generation_call.h"
#include "runtime/server/health.h"
#include "runtime/server/metrics/server_metrics.h"
#include "runtime/text/text_codec.h"
#include "sdar/v1/generation.grpc.pb.h"

namespace sdar {

// The same service for all transports; gRPC's is built in. Reactions tokenize and queue; they never
// wait for the engine. Thread-safe.
class GenerationService : public sdar::v1::GenerationService::CallbackService {
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
    size_t max_backlog_bytes = 1 << 20;  // per call, of answers that its client does not take
  };
  // Requires: text and router outlive the service and its calls.
  GenerationService(Config config, const TextCodec& text, Router& router);

  // Unauthenticated unless the value of an Authorization header, or of gRPC's metadata of that
  // name, lets its sender in. Every transport asks before it does anything for a caller.
  absl::Status CheckAccess(absl::string_view authorization) const;

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

  // Queues a call's samples; the call has to Begin, and to be closed when it is over. Errors as of
  // the Generate method (generation.proto).
  absl::StatusOr<std::shared_ptr<GenerateStream>> Open(GenerationCall call);
  void Close(const std::shared_ptr<GenerateStream>& stream);
  // A transport has refused a call before it could be opened.
  void CountRefusal(const absl::Status& status) { metrics_.Refused(status.code()); }
  // An id for a call that brings none.
  std::string NewRequestId();

  // All metrics in Prometheus' text format. Waits for no step.
  std::string Metrics() const;

  const sdar::v1::GetModelInfoResponse& model_info() const { return config_.model_info; }
  const TextCodec& text() const { return text_; }

  grpc::ServerWriteReactor<sdar::v1::GenerateResponse>* Generate(
      grpc::CallbackServerContext* context, const sdar::v1::GenerateRequest* request) override;
  grpc::ServerUnaryReactor* Abort(grpc::CallbackServerContext* context,
                                  const sdar::v1::AbortRequest* request,
                                  sdar::v1::AbortResponse* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context,
                                     const sdar::v1::TokenizeRequest* request,
                                     sdar::v1::TokenizeResponse* response) override;
  grpc::ServerUnaryReactor* Detokenize(grpc::CallbackServerContext* context,
                                       const sdar::v1::DetokenizeRequest* request,
                                       sdar::v1::DetokenizeResponse* response) override;
  grpc::ServerUnaryReactor* GetModelInfo(grpc::CallbackServerContext* context,
                                         const sdar::v1::GetModelInfoRequest* request,
                                         sdar::v1::GetModelInfoResponse* response) override;
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const sdar::v1::GetStatusRequest* request,
                                      sdar::v1::GetStatusResponse* response) override;

 private:
  absl::StatusOr<GenerationCall> Translate(const sdar::v1::GenerateRequest& request,
                                           SteadyTime call_deadline) const;
  absl::Status Submit(std::vector<GenerationRequest> samples,
                      const std::shared_ptr<GenerateStream>& stream);
  absl::Status TokenizeInto(const sdar::v1::TokenizeRequest& request,
                            sdar::v1::TokenizeResponse& response) const;
  HealthView View() const;
  absl::Status Register(const std::shared_ptr<GenerateStream>& stream);
  absl::StatusOr<std::shared_ptr<GenerateStream>> TryOpen(GenerationCall call);
  std::vector<RankHealth> HealthOfRanks(const EngineStatus& first_replica, SteadyTime now) const;

  Config config_;
  const TextCodec& text_;
  Router& router_;
  ServerMetrics metrics_;
  std::atomic<uint64_t> next_request_{1};

  mutable absl::Mutex mutex_;
  SteadyCondition closed_;  // open_ has become smaller
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  std::set<std::shared_ptr<GenerateStream>> open_ ABSL_GUARDED_BY(mutex_);
  // Of these, the last with an id: another may have it once that one has ended.
  std::map<std::string, std::shared_ptr<GenerateStream>> by_id_ ABSL_GUARDED_BY(mutex_);
  Delivery delivery_;
};

}  // namespace sdar
