// SPDX-License-Identifier: Apache-2.0
// A whole job in the test process: every rank a thread, rank 0 with an engine.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"

#include "launcher/generate/generation_record.h"
#include "launcher/job/structures.h"
#include "runtime/engine/engine.h"
#include "runtime/request/request_fields.h"
#include "runtime/text/text_codec.h"
#include "tests/model/local_ranks.h"

namespace sdar {

// Collects the updates of several sequences; thread-safe.
class Collector {
 public:
  // A callback that fills record `key`.
  UpdateCallback For(int key) {
    {
      absl::MutexLock lock(&mutex_);
      records_[key];
    }
    return [this, key](SequenceUpdate update) {
      absl::MutexLock lock(&mutex_);
      records_[key].Add(std::move(update));
    };
  }
  // Waits until every sequence has ended.
  void AwaitAll() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &Collector::AllDone));
  }
  Json Result(int key) {
    absl::MutexLock lock(&mutex_);
    return records_.at(key).ToJson(key, true, true);
  }
  absl::Status StatusOf(int key) {
    absl::MutexLock lock(&mutex_);
    return records_.at(key).end().status;
  }

 private:
  bool AllDone() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const auto& [key, record] : records_) {
      if (!record.done()) return false;
    }
    return true;
  }
  absl::Mutex mutex_;
  std::map<int, GenerationRecord> records_ ABSL_GUARDED_BY(mutex_);
};

struct LocalJobOptions {
  LocalRanksOptions ranks;
  SchedulerConfig scheduler{32, 512, 256, 64, true};
  int drafts = 0;  // of requests that say nothing
};

class LocalJob {
 public:
  LocalJob(const std::string& folder, LocalJobOptions options) {
    options.ranks.model.kv_cache = {options.scheduler.num_pages, options.scheduler.page_size};
    options.ranks.model.max_rows = options.scheduler.max_batch_rows;
    auto text = TextCodec::Load(folder);
    EXPECT_TRUE(text.ok()) << text.status();
    text_ = std::make_unique<TextCodec>(*std::move(text));
    thread_ = std::thread([this, folder, options] {
      status_ = RunOnLocalRanks(folder, options.ranks,
                                [&](int rank, SdarModel& model, Communicator& communicator) {
                                  return RunRank(rank, model, communicator, options, folder);
                                });
      SetReady();
    });
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&ready_));
  }
  ~LocalJob() { EXPECT_TRUE(Stop().ok()); }

  // Ends the job and returns how it went.
  absl::Status Stop() {
    if (engine_ != nullptr) engine_->Stop(absl::UnavailableError("stopped by the test"));
    if (thread_.joinable()) thread_.join();
    engine_ = nullptr;
    return status_;
  }

  Engine& engine() { return *engine_; }
  const TextCodec& text() const { return *text_; }
  const RequestDefaults& defaults() const { return defaults_; }

  // Builds and submits the samples of one request; sample i fills record first_key + i.
  absl::Status Submit(const RequestFields& fields, std::vector<TokenId> prompt, Collector& out,
                      int first_key, bool trace = false) {
    auto samples = BuildRequests(fields, std::move(prompt), defaults_, engine_->config().limits);
    if (!samples.ok()) return samples.status();
    std::vector<Submission> submissions;
    for (GenerationRequest& sample : *samples) {
      sample.trace = trace;
      submissions.push_back({std::move(sample), out.For(first_key++)});
    }
    return engine_->Submit(std::move(submissions)).status();
  }

 private:
  void SetReady() {
    absl::MutexLock lock(&mutex_);
    ready_ = true;
  }

  absl::Status RunRank(int rank, SdarModel& model, Communicator& communicator,
                       const LocalJobOptions& options, const std::string& folder) {
    Worker worker(model, options.scheduler.max_sequences);
    StepChannel channel(
        communicator, [this](uint64_t count) { doorbell_.RingTo(count); }, &doorbell_);
    if (rank != 0) return RunWorkerLoop(worker, channel, [](uint64_t) {});
    EngineConfig config;
    config.scheduler = options.scheduler;
    config.limits = {model.config().vocab_size, model.config().LongestSequence(),
                     options.scheduler.page_size, options.scheduler.num_pages,
                     options.scheduler.max_batch_rows};
    config.mask_token = *model.config().mask_token_id;
    config.limits.forbidden =
        ForbiddenIds(text_->tokenizer(), config.mask_token, model.config().vocab_size);
    auto generation = LoadGenerationConfig(folder, model.config());
    if (!generation.ok()) return generation.status();
    defaults_ = {*generation, model.config().block_size.value_or(4), options.drafts};
    defaults_.structures = MakeStructureCompiler(text_->tokenizer(), config.limits);
    Engine engine(config, text_->tokenizer(), worker, channel);
    engine_ = &engine;
    SetReady();
    return engine.Run();
  }

  std::unique_ptr<TextCodec> text_;
  RequestDefaults defaults_;
  Doorbell doorbell_;
  Engine* engine_ = nullptr;  // lives on rank 0's thread
  absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;  // the engine is there, or there will be none
  absl::Status status_;
  std::thread thread_;
};

}  // namespace sdar
