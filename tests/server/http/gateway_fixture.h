// SPDX-License-Identifier: Apache-2.0
// A gateway on a real socket, before replicas of the test's making.
#pragma once

#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "spdlog/sinks/ostream_sink.h"

#include "common/log.h"
#include "common/steady_time.h"
#include "runtime/server/http/http_gateway.h"
#include "runtime/server/http/http_server.h"
#include "tests/server/http/http_client.h"
#include "tests/server/http/started_server.h"

namespace sdar {

// What every sample gets: three tokens in two updates; before them, where it asks for it, a block
// after each of three steps.
inline void Answer(const Submission& sample) {
  for (int step = 0; step < 3 && sample.request.provisional; ++step) {
    SequenceUpdate update;
    update.provisional.emplace().step = step;
    sample.callback(update);
  }
  SequenceUpdate first;
  first.text = "an answer";
  first.tokens.resize(2);
  sample.callback(first);
  SequenceUpdate last;
  last.tokens.resize(1);
  last.end.emplace();
  last.end->reason = FinishReason::kStop;
  last.end->usage.prompt_tokens = static_cast<int64_t>(sample.request.prompt.size());
  last.end->usage.completion_tokens = 3;
  last.end->usage.denoising_steps = 2;
  last.end->usage.forward_passes = 3;
  last.end->usage.started = SteadyTime::Now();
  sample.callback(last);
}

inline Replica AnsweringReplica() {
  return {[](std::vector<Submission> samples) -> absl::StatusOr<std::vector<SequenceId>> {
            std::vector<SequenceId> ids;
            for (const Submission& sample : samples) {
              ids.emplace_back(ids.size() + 1);
              Answer(sample);
            }
            return ids;
          },
          [](SequenceId, const absl::Status&) {},
          [] {
            EngineStatus status;
            status.total_slots = status.free_slots = 2;
            status.total_pages = 4;
            status.free_pages = 3;
            return status;
          }};
}

inline GenerationService::Config ServiceConfig() {
  GenerationService::Config config;
  config.model_name = "tiny";
  config.model_info.set_version("1.2.3");
  config.model_info.set_max_sequence_length(2048);
  config.rank_health = [] { return std::vector<RankHealth>(1); };
  return config;
}

inline RouterConfig TinyRouter() {
  RouterConfig config;
  config.limits = {4096, 2048, 64, 100, 512};
  return config;
}

// The log is what the gateway's calls wrote; complete once the server has gone.
class GatewayFixture : public ::testing::Test {
 protected:
  explicit GatewayFixture(Replica replica = AnsweringReplica(), bool strict_fields = false,
                          const RouterConfig& config = TinyRouter())
      : text_(*TextCodec::Load(std::string(SDAR_SOURCE_DIR) + "/models/sdar-tiny")),
        router_(config, {std::move(replica)}),
        service_(ServiceConfig(), text_, router_),
        gateway_(*OriginPolicy::Create("https://chat.example.org", true, {}),
                 *OriginPolicy::Create("", false, {}), strict_fields) {
    gateway_.Serve(service_, workers_, {"tiny"});
    auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log_));
    LogOptions options;
    options.format = LogFormat::kJson;
    logger->set_formatter(MakeLogFormatter(options));
    spdlog::set_default_logger(std::move(logger));
    server_ = StartServer(gateway_.Handlers());
  }
  ~GatewayFixture() override {
    workers_.Stop();
    server_.reset();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("none"));
  }

  HttpAnswer Complete(const std::string& headers, Json body = Json::object()) {
    body["prompt"] = "hidden words";
    return HttpClient(server_->address()).Ask("POST", "/v1/completions", body.dump(), headers);
  }
  HttpAnswer Post(const std::string& path, const Json& body, const std::string& headers = "") {
    return HttpClient(server_->address()).Ask("POST", path, body.dump(), headers);
  }
  HttpAnswer Get(const std::string& path) {
    return HttpClient(server_->address()).Ask("GET", path);
  }

  std::ostringstream log_;
  TextCodec text_;
  Router router_;
  GenerationService service_;
  TextWorkers workers_{TextWorkersOptions()};
  HttpGateway gateway_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace sdar
