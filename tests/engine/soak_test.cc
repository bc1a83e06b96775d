// SPDX-License-Identifier: Apache-2.0
// Router, engine and delivery under clients that submit, cancel and miss deadlines all at once, for
// SOAK_SECONDS (10 without).
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <random>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/steady_time.h"
#include "runtime/cluster/router.h"
#include "runtime/server/delivery.h"
#include "tests/engine/golden_runs.h"
#include "tests/engine/local_job.h"
#include "tests/engine/update_ledger.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

// The smallest there is: the thread sanitizer makes a step take many times as long.
constexpr char kModel[] = "tests/golden/moe";
constexpr unsigned kPlainIds = 280;
constexpr unsigned kClients = 4;
// That a client has at a time: together more samples than the slots and the queue take.
constexpr size_t kOpenRequests = 6;
constexpr int kSlots = 6;
constexpr int64_t kQueued = 12;

absl::Duration SoakTime() {
  const char* seconds = std::getenv("SOAK_SECONDS");
  return absl::Seconds(seconds == nullptr || *seconds == '\0' ? 10 : std::atof(seconds));
}

struct Asked {
  RequestFields fields;
  std::vector<TokenId> prompt;
};

// Prompts share stems of some pages; sampling and lengths vary.
std::vector<Asked> FixedRequests() {
  std::mt19937 random(20261125);
  std::vector<Asked> asked(10);
  for (size_t i = 0; i < asked.size(); ++i) {
    for (TokenId id = 0; id < static_cast<TokenId>(20 * (i % 3)); ++id) {
      asked[i].prompt.push_back(1 + id);
    }
    for (size_t tail = 1 + i; tail > 0; --tail) {
      asked[i].prompt.push_back(static_cast<TokenId>(random() % kPlainIds));
    }
    RequestFields& fields = asked[i].fields;
    fields.seed = random();
    fields.max_tokens = static_cast<int64_t>(4 + 5 * i);
    fields.ignore_eos = true;
    fields.temperature = i % 2 == 0 ? 1.0 : 0.0;
    fields.n = i % 4 == 0 ? 3 : 1;
    if (i % 5 == 2) fields.block_length = 8;
    fields.drafts = DraftCount{static_cast<int64_t>(i % 5) - 1};
  }
  return asked;
}

// Pages for less than half of what the slots could use.
LocalJobOptions LittleMemory() {
  LocalJobOptions options;
  options.ranks.ranks = 2;
  options.ranks.dtype = DType::kBFloat16;
  options.scheduler = {kSlots, 64, 12, 16, true, true, 48};
  return options;
}

Replica ReplicaOf(Engine& engine) {
  return {[&engine](std::vector<Submission> samples) { return engine.Submit(std::move(samples)); },
          [&engine](SequenceId id, const absl::Status& status) { engine.Cancel(id, status); },
          [&engine] { return engine.GetStatus(); }};
}

RouterConfig ConfigFor(const Engine& engine) {
  RouterConfig config;
  config.limits = engine.config().limits;
  config.slots = kSlots;
  config.max_waiting = kQueued;
  return config;
}

// All that the clients share.
struct Front {
  UpdateLedger ledger;
  Delivery delivery;
  LocalJob job{Folder(kModel), LittleMemory()};
  Router router{ConfigFor(job.engine()), {ReplicaOf(job.engine())}};
  const std::vector<Asked> asked = FixedRequests();
  std::vector<std::vector<SequenceOutcome>> alone;  // by request and sample

  std::atomic<bool> go_on{true};  // until something is wrong
  std::atomic<int64_t> next_key{0};
  std::atomic<int64_t> ok{0}, cancelled{0}, late{0}, refused{0};

  // Sequences that any client may cancel.
  absl::Mutex mutex;
  std::vector<SequenceId> offered ABSL_GUARDED_BY(mutex);

  ~Front() { Stop(); }
  // After this no update comes any more.
  void Stop() {
    router.Stop(absl::UnavailableError("the test ends"));
    EXPECT_THAT(job.Stop(), IsOk());
  }
};

// What is to happen to a request's first sample; the others stay.
enum class Fate { kStays, kCancelledAtOnce, kCancelledTwice, kCancelledRunning, kOffered, kTimed };

// A request that was accepted.
struct Open {
  size_t request;
  Fate fate;
  int64_t first_key;
  std::vector<SequenceId> ids;
};

// One thread.
class Client {
 public:
  Client(Front& front, unsigned number) : front_(front), random_(number) {}

  // Submits a request, and ends the oldest where there are many.
  void Turn() {
    const size_t request = random_() % front_.asked.size();
    Submit(request, static_cast<Fate>(random_() % 6), static_cast<int>(random_() % 3));
    CancelOneOffered();
    CheckStatus();
    while (open_.size() >= kOpenRequests) FinishOldest();
  }
  void FinishAll() {
    while (!open_.empty()) FinishOldest();
  }
  // The only one at the time: without company. False when it is refused.
  bool AskAlone(size_t request) {
    Submit(request, Fate::kStays, 0);
    if (open_.empty()) return false;
    front_.alone.push_back(Outcomes(open_.front()));
    open_.pop_front();
    return true;
  }

 private:
  void Submit(size_t request, Fate fate, int priority) {
    const Asked& asked = front_.asked[request];
    auto samples = BuildRequests(asked.fields, asked.prompt, front_.job.defaults(),
                                 front_.router.config().limits);
    ASSERT_THAT(samples, IsOk());
    const auto count = static_cast<int64_t>(samples->size());
    Open open{request, fate, front_.next_key.fetch_add(count), {}};
    std::vector<Submission> submissions;
    for (GenerationRequest& sample : *samples) {
      const int64_t key = open.first_key + static_cast<int64_t>(submissions.size());
      sample.priority = priority;
      if (fate == Fate::kTimed && submissions.empty()) {
        const auto millis = static_cast<int64_t>(random_() % 300);
        sample.deadline = SteadyTime::Now() + absl::Milliseconds(millis - 5);
      }
      submissions.push_back({std::move(sample), front_.delivery.Later(front_.ledger.Open(key))});
    }
    auto ids = front_.router.Submit(std::move(submissions));
    if (!ids.ok()) return NoteRefusal(open.first_key, count, ids.status());
    open.ids = *std::move(ids);
    Meet(open);
    open_.push_back(std::move(open));
  }

  void NoteRefusal(int64_t first_key, int64_t count, const absl::Status& status) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted, ::testing::_));
    EXPECT_TRUE(RetryDelay(status).has_value());
    for (int64_t i = 0; i < count; ++i) front_.ledger.Drop(first_key + i);
    ++front_.refused;
    if (!open_.empty()) return FinishOldest();
    absl::SleepFor(absl::Milliseconds(10));  // others have filled the queue
  }

  // Lets the fate of a request come, where it does not come by itself.
  void Meet(const Open& open) {
    const absl::Status by_client = absl::CancelledError("by its client");
    if (open.fate == Fate::kCancelledRunning) front_.ledger.AwaitNews(open.first_key);
    if (open.fate == Fate::kCancelledAtOnce || open.fate == Fate::kCancelledTwice ||
        open.fate == Fate::kCancelledRunning) {
      front_.router.Cancel(open.ids[0], by_client);
    }
    if (open.fate == Fate::kCancelledTwice) front_.router.Cancel(open.ids[0], by_client);
    if (open.fate != Fate::kOffered) return;
    absl::MutexLock lock(&front_.mutex);
    front_.offered.push_back(open.ids[0]);
  }

  void CancelOneOffered() {
    SequenceId id;
    {
      absl::MutexLock lock(&front_.mutex);
      if (front_.offered.empty()) return;
      id = front_.offered.back();
      front_.offered.pop_back();
    }
    front_.router.Cancel(id, absl::CancelledError("by another client"));
  }

  void CheckStatus() {
    const EngineStatus status = front_.router.GetStatus().total;
    EXPECT_LE(status.running + status.free_slots, kSlots);
    EXPECT_LE(status.free_pages, status.total_pages);
    EXPECT_GE(status.free_pages, 0);
    EXPECT_GE(status.waiting, 0);
  }

  std::vector<SequenceOutcome> Outcomes(const Open& open) {
    std::vector<SequenceOutcome> outcomes;
    for (size_t i = 0; i < open.ids.size(); ++i) {
      outcomes.push_back(front_.ledger.AwaitEnd(open.first_key + static_cast<int64_t>(i)));
    }
    return outcomes;
  }

  void FinishOldest() {
    const Open open = std::move(open_.front());
    open_.pop_front();
    const std::vector<SequenceOutcome> outcomes = Outcomes(open);
    front_.router.Cancel(open.ids[0], absl::CancelledError("after its end"));
    for (size_t i = 0; i < outcomes.size(); ++i) {
      if (!Check(open, i, outcomes[i])) front_.go_on = false;
    }
  }

  // Counts an end; false, with a test failure, when it is not one that the sample may have.
  bool Check(const Open& open, size_t sample, const SequenceOutcome& outcome) {
    if (outcome.status.ok()) {
      ++front_.ok;
      const bool right = outcome == front_.alone[open.request][sample];
      EXPECT_TRUE(right) << "another answer than alone to request " << open.request << ", sample "
                         << sample;
      return right;
    }
    const bool timed = open.fate == Fate::kTimed;
    ++(timed ? front_.late : front_.cancelled);
    const auto expected =
        timed ? absl::StatusCode::kDeadlineExceeded : absl::StatusCode::kCancelled;
    const bool may = sample == 0 && open.fate != Fate::kStays && outcome.status.code() == expected;
    EXPECT_TRUE(may) << "sample " << sample << " of fate " << static_cast<int>(open.fate) << ": "
                     << outcome.status;
    return may;
  }

  Front& front_;
  std::mt19937 random_;
  std::deque<Open> open_;
};

void ExpectNothingHeld(Front& front) {
  const auto at_rest = [&] {
    const EngineStatus status = front.router.GetStatus().total;
    return status.running == 0 && status.waiting == 0 && status.free_slots == status.total_slots &&
           status.free_pages == status.total_pages;
  };
  const SteadyTime give_up = SteadyTime::Now() + absl::Seconds(30);
  while (!at_rest() && SteadyTime::Now() < give_up) std::this_thread::yield();
  const EngineStatus status = front.router.GetStatus().total;
  EXPECT_EQ(status.running, 0);
  EXPECT_EQ(status.waiting, 0);
  EXPECT_EQ(status.free_slots, status.total_slots);
  EXPECT_EQ(status.free_pages, status.total_pages);
  EXPECT_GT(status.preemptions, 0u);
  EXPECT_GT(status.prefix_cache_hit_tokens, 0u);
  std::cout << status.finished_steps << " steps, " << status.preemptions << " preemptions\n";
}

TEST(EngineSoakTest, EveryAcceptedSequenceEndsOnceAndNothingIsLeft) {
  Front front;
  Client first(front, 0);
  for (size_t i = 0; i < front.asked.size(); ++i) ASSERT_TRUE(first.AskAlone(i));
  const SteadyTime end = SteadyTime::Now() + SoakTime();
  std::vector<std::thread> clients;
  for (unsigned i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] {
      Client client(front, 1 + i);
      while (SteadyTime::Now() < end && front.go_on) client.Turn();
      client.FinishAll();
    });
  }
  for (std::thread& client : clients) client.join();
  ExpectNothingHeld(front);
  front.Stop();
  EXPECT_EQ(front.ledger.num_strays(), 0);
  EXPECT_GT(front.ok, 0);
  EXPECT_GT(front.cancelled, 0);
  EXPECT_GT(front.late, 0);
  EXPECT_GT(front.refused, 0);
  std::cout << front.ok << " answers, " << front.cancelled << " cancelled, " << front.late
            << " late, " << front.refused << " requests refused\n";
}

}  // namespace
}  // namespace sdar
