// SPDX-License-Identifier: Apache-2.0
// Likelihoods of whole jobs against the reference's, against what decoding reports when it reveals
// the same tokens, and against passes that are planned by hand.
#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/logit_summary.h"
#include "runtime/request/score_fields.h"
#include "tests/engine/golden_runs.h"
#include "tests/engine/local_job.h"
#include "tests/model/local_ranks.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

// Updates of sequences that score, by key. Thread-safe.
class Scores {
 public:
  UpdateCallback For(int key) {
    {
      absl::MutexLock lock(&mutex_);
      entries_[key];
    }
    return [this, key](const SequenceUpdate& update) {
      absl::MutexLock lock(&mutex_);
      Entry& entry = entries_[key];
      for (const RevealedToken& token : update.tokens) entry.tokens.push_back(token);
      if (update.end) entry.end = update.end;
    };
  }
  void AwaitAll() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &Scores::AllDone));
  }
  // Requires: AwaitAll.
  std::vector<double> LogprobsOf(int key) {
    std::vector<double> logprobs;
    for (const RevealedToken& token : Of(key).tokens) logprobs.push_back(token.logprob);
    return logprobs;
  }
  struct Entry {
    std::vector<RevealedToken> tokens;
    std::optional<SequenceEnd> end;
  };
  const Entry& Of(int key) {
    absl::MutexLock lock(&mutex_);
    EXPECT_THAT(entries_.at(key).end->status, IsOk());
    return entries_.at(key);
  }

 private:
  bool AllDone() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const auto& [key, entry] : entries_) {
      if (!entry.end) return false;
    }
    return true;
  }
  absl::Mutex mutex_;
  std::map<int, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

void SubmitScore(LocalJob& job, const ScoreFields& fields, const std::vector<TokenId>& ids,
                 size_t prompt_length, Scores& out, int key) {
  const auto first_target = ids.begin() + static_cast<std::ptrdiff_t>(prompt_length);
  auto request = BuildScoreRequest(fields, {ids.begin(), first_target}, {first_target, ids.end()},
                                   job.defaults(), job.engine().config().limits);
  ASSERT_THAT(request, IsOk());
  std::vector<Submission> one;
  one.push_back({*std::move(request), out.For(key)});
  ASSERT_THAT(job.engine().Submit(std::move(one)), IsOk());
}

struct Split {
  const char* folder;
  int ranks;
  MoeExchange exchange = MoeExchange::kAuto;
  int64_t max_batch_rows = 512;
  int64_t num_pages = 256;
  DType dtype = DType::kFloat32;
};

std::string Where(const Split& split) {
  return absl::StrCat(split.folder, " on ", split.ranks, " in ", split.max_batch_rows);
}

LocalJobOptions OptionsOf(const Split& split) {
  LocalJobOptions options;
  options.ranks.ranks = split.ranks;
  options.ranks.dtype = split.dtype;
  options.ranks.model.moe_exchange = split.exchange;
  options.scheduler.max_batch_rows = split.max_batch_rows;
  options.scheduler.num_pages = split.num_pages;
  return options;
}

TEST(LikelihoodTest, IsTheReferencesOfEveryRun) {
  const std::pair<Split, const char*> cases[] = {
      {{"tests/golden/dense", 1}, "/expected"},
      {{"tests/golden/dense", 2, MoeExchange::kAuto, 16}, "/expected"},
      {{"tests/golden/dense", 4}, "/expected"},
      {{"tests/golden/moe", 1, MoeExchange::kAuto, 24}, "/expected"},
      {{"tests/golden/moe", 2, MoeExchange::kAllReduce}, "/expected"},
      {{"tests/golden/moe", 4, MoeExchange::kAllToAll}, "/expected"},
      {{"tests/golden/moe_b8_tied", 1}, "/expected"},
      {{"tests/golden/moe_b8_tied", 2, MoeExchange::kAllToAll, 16}, "/expected"},
      {{"models/sdar-tiny", 1}, ""},
      {{"models/sdar-tiny", 2, MoeExchange::kAllToAll, 64, 3}, ""},
      {{"models/sdar-tiny", 4}, ""}};
  for (const auto& [split, subfolder] : cases) {
    SCOPED_TRACE(Where(split));
    LocalJob job(Folder(split.folder), OptionsOf(split));
    const Json runs = ReadRuns(Folder(split.folder) + subfolder + "/likelihood.json");
    Scores out;
    for (size_t i = 0; i < runs.size(); ++i) {
      SubmitScore(job, {}, runs[i]["ids"].get<std::vector<TokenId>>(),
                  runs[i]["prompt_length"].get<size_t>(), out, static_cast<int>(i));
    }
    out.AwaitAll();
    for (size_t i = 0; i < runs.size(); ++i) {
      const Scores::Entry& got = out.Of(static_cast<int>(i));
      ASSERT_EQ(got.tokens.size(), runs[i]["logprobs"].size()) << i;
      for (size_t t = 0; t < got.tokens.size(); ++t) {
        EXPECT_NEAR(got.tokens[t].logprob, runs[i]["logprobs"][t].get<double>(), 1e-4)
            << i << " target " << t;
        EXPECT_EQ(got.tokens[t].greedy, runs[i]["greedy"][t].get<bool>()) << i << " target " << t;
      }
    }
    EXPECT_THAT(job.Stop(), IsOk());
  }
}

const std::vector<TokenId> kPrompt = {957, 262, 198, 283, 269, 284, 487, 582, 456, 30, 958};

RequestFields Sequential(double temperature, int64_t block_length, int64_t max_tokens) {
  RequestFields fields;
  fields.temperature = temperature;
  fields.top_k = 0;
  fields.top_p = 1;
  fields.seed = 7;
  fields.remasking_strategy = RemaskingStrategy::kSequential;
  fields.block_length = block_length;
  fields.max_tokens = max_tokens;
  fields.ignore_eos = true;
  fields.logprobs = 3;
  return fields;
}

// A decode whose tokens are scored afterwards. At temperature 1, draws force tokens of every
// probability.
struct Forced {
  int64_t block_length;
  double temperature;
  std::vector<TokenId> prompt;
};

std::vector<Forced> ForcedDecodes() {
  std::vector<Forced> all;
  for (const int64_t block_length : {1, 4, 8, 16}) {
    for (const double temperature : {0.0, 1.0}) {
      for (const int prompt_length : {1, 4, 11}) {
        all.push_back(
            {block_length, temperature, {kPrompt.begin(), kPrompt.begin() + prompt_length}});
      }
    }
  }
  return all;
}

// token: as GenerationRecord has it.
void ExpectSame(const RevealedToken& scored, const Json& token) {
  EXPECT_EQ(scored.id, token["id"].get<TokenId>());
  EXPECT_EQ(scored.logprob, token["logprob"].get<double>());
  EXPECT_EQ(scored.entropy, token["entropy"].get<double>());
  EXPECT_EQ(scored.step, token["step"].get<int>());
  ASSERT_EQ(scored.top.size(), token["top"].size());
  for (size_t i = 0; i < scored.top.size(); ++i) {
    EXPECT_EQ(scored.top[i].id, token["top"][i]["id"].get<TokenId>());
    EXPECT_EQ(scored.top[i].logprob, token["top"][i]["logprob"].get<double>());
  }
}

void ExpectScoredAsDecoded(LocalJob& job) {
  const std::vector<Forced> decodes = ForcedDecodes();
  Collector decoded;
  for (size_t k = 0; k < decodes.size(); ++k) {
    const Forced& forced = decodes[k];
    ASSERT_THAT(job.Submit(Sequential(forced.temperature, forced.block_length, 37), forced.prompt,
                           decoded, static_cast<int>(k)),
                IsOk());
  }
  decoded.AwaitAll();
  Scores scored;
  for (size_t k = 0; k < decodes.size(); ++k) {
    std::vector<TokenId> ids = decodes[k].prompt;
    const Json tokens = decoded.Result(static_cast<int>(k))["token_ids"];
    for (const Json& id : tokens) ids.push_back(id.get<TokenId>());
    ScoreFields fields;
    fields.block_length = decodes[k].block_length;
    fields.top_logprobs = 3;
    SubmitScore(job, fields, ids, decodes[k].prompt.size(), scored, static_cast<int>(k));
  }
  scored.AwaitAll();
  for (size_t k = 0; k < decodes.size(); ++k) {
    const Json want = decoded.Result(static_cast<int>(k))["logprobs"];
    const Scores::Entry& got = scored.Of(static_cast<int>(k));
    ASSERT_EQ(got.tokens.size(), want.size());
    for (size_t t = 0; t < want.size(); ++t) {
      SCOPED_TRACE(absl::StrCat("decode ", k, ", token ", t));
      ExpectSame(got.tokens[t], want[t]);
      EXPECT_TRUE(got.tokens[t].greedy || decodes[k].temperature > 0);
    }
  }
}

TEST(LikelihoodTest, IsWhatDecodingPaidForTheSameTokensToTheBit) {
  for (const int ranks : {1, 2, 4}) {
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      SCOPED_TRACE(absl::StrCat(Name(dtype), " on ", ranks));
      LocalJobOptions options;
      options.ranks.ranks = ranks;
      options.ranks.dtype = dtype;
      LocalJob job(Folder("models/sdar-tiny"), options);
      ExpectScoredAsDecoded(job);
      EXPECT_THAT(job.Stop(), IsOk());
    }
  }
}

// The logprob of ids[target] from a pass of its own, in a slot of its own: one segment that holds
// all committed blocks, followed by the state.
absl::StatusOr<double> LogprobByHand(Worker& worker, const std::vector<TokenId>& ids, size_t target,
                                     size_t block, TokenId mask) {
  sdar::v1::StepPlan plan;
  plan.set_version(kStepPlanVersion);
  plan.set_step_id(worker.next_step());
  plan.set_kind(sdar::v1::StepPlan::FORWARD);
  if (worker.next_step() > 0) plan.add_released_slots(0);
  sdar::v1::Segment& segment = *plan.add_segments();
  segment.set_phase(sdar::v1::Segment::FUSED);
  segment.set_block_length(static_cast<uint32_t>(block));
  segment.mutable_sampling();
  segment.add_new_pages(0);
  const size_t end = target / block * block + block;
  std::string masked((end + 7) / 8, '\0');
  for (size_t i = 0; i < end; ++i) {
    segment.add_token_ids(static_cast<uint32_t>(i < target ? ids[i] : mask));
    if (i >= target) masked[i / 8] = static_cast<char>(masked[i / 8] | 1 << i % 8);
  }
  segment.set_masked(masked);
  for (size_t i = target; i < end; ++i) segment.add_asked_ids(static_cast<uint32_t>(ids[target]));
  auto result = worker.Execute(plan);
  if (!result.ok()) return result.status();
  const LogitSummary& summary = result->summaries.at(0);
  return std::min(0.0, double{summary.asked_z} - LogSumExp(summary));
}

std::vector<double> LogprobsByHand(const Split& split, const std::vector<TokenId>& ids,
                                   size_t block, TokenId mask) {
  std::vector<double> logprobs;
  LocalRanksOptions options;
  options.ranks = split.ranks;
  options.dtype = split.dtype;
  options.model.moe_exchange = split.exchange;
  const auto body = [&](int rank, SdarModel& model, Communicator&) -> absl::Status {
    Worker worker(model, 1);
    for (size_t target = 0; target < ids.size(); ++target) {
      const auto logprob = LogprobByHand(worker, ids, target, block, mask);
      if (!logprob.ok()) return logprob.status();
      if (rank == 0) logprobs.push_back(*logprob);
    }
    return absl::OkStatus();
  };
  EXPECT_THAT(RunOnLocalRanks(Folder(split.folder), options, body), IsOk());
  return logprobs;
}

TEST(LikelihoodTest, IsThatOfAPassForEachTargetToTheBit) {
  std::vector<TokenId> ids;
  for (TokenId i = 0; i < 45; ++i) ids.push_back(i * 37 % 290);
  const MoeExchange all_to_all = MoeExchange::kAllToAll;
  for (const Split& split :
       {Split{"tests/golden/dense", 1}, Split{"tests/golden/dense", 2},
        Split{"tests/golden/dense", 4}, Split{"tests/golden/moe", 2, all_to_all},
        Split{"tests/golden/moe", 4, MoeExchange::kAllReduce},
        Split{"tests/golden/moe", 1, MoeExchange::kAuto, 512, 256, DType::kBFloat16},
        Split{"tests/golden/moe", 2, all_to_all, 32, 256, DType::kBFloat16}}) {
    SCOPED_TRACE(Where(split));
    LocalJob job(Folder(split.folder), OptionsOf(split));
    const TokenId mask = job.engine().config().mask_token;
    Scores out;
    for (const int64_t block_length : {4, 16}) {
      ScoreFields fields;
      fields.block_length = block_length;
      SubmitScore(job, fields, ids, 0, out, static_cast<int>(block_length));
    }
    out.AwaitAll();
    for (const size_t block_length : {4, 16}) {
      EXPECT_EQ(out.LogprobsOf(static_cast<int>(block_length)),
                LogprobsByHand(split, ids, block_length, mask))
          << block_length;
    }
    EXPECT_THAT(job.Stop(), IsOk());
  }
}

TEST(LikelihoodTest, IsTheSameAloneAndAmongOthersWhoDecodeAndScoreAndArePreempted) {
  LocalJobOptions options;
  options.ranks.ranks = 2;
  options.ranks.dtype = DType::kBFloat16;
  options.scheduler.max_batch_rows = 64;
  options.scheduler.max_prefill_rows = 24;
  options.scheduler.num_pages = 10;
  options.scheduler.max_sequences = 6;
  std::vector<std::vector<TokenId>> texts;
  for (TokenId t = 0; t < 12; ++t) {
    texts.emplace_back();
    for (TokenId i = 0; i < 30 + 17 * t; ++i) texts.back().push_back((i * (t + 3) + 5) % 900);
  }
  std::vector<std::vector<double>> alone;
  {
    LocalJob job(Folder("models/sdar-tiny"), options);
    for (size_t t = 0; t < texts.size(); ++t) {
      Scores out;
      SubmitScore(job, {}, texts[t], t, out, 0);
      out.AwaitAll();
      alone.push_back(out.LogprobsOf(0));
    }
  }
  LocalJob job(Folder("models/sdar-tiny"), options);
  Collector decoded;
  Scores scored;
  for (size_t t = 0; t < texts.size(); ++t) {
    const auto key = static_cast<int>(t);
    RequestFields fields = Sequential(1.0, t % 2 == 0 ? 4 : 8, 60);
    fields.drafts = DraftCount{key % 3};
    fields.priority = key % 2;
    ASSERT_THAT(job.Submit(fields, texts[t], decoded, key), IsOk());
    ScoreFields score;
    score.priority = key % 3;
    SubmitScore(job, score, texts[t], t, scored, key);
  }
  scored.AwaitAll();
  decoded.AwaitAll();
  for (size_t t = 0; t < texts.size(); ++t) {
    EXPECT_EQ(scored.LogprobsOf(static_cast<int>(t)), alone[t]) << t;
  }
  EXPECT_GT(job.engine().GetStatus().preemptions, 0u);
  while (job.engine().GetStatus().running > 0) std::this_thread::yield();
  EXPECT_EQ(job.engine().GetStatus().free_pages, 10);
  EXPECT_THAT(job.Stop(), IsOk());
}

TEST(LikelihoodTest, ForbiddenIdsHaveALogprobAndAreNeverGreedy) {
  LocalJob job(Folder("models/sdar-tiny"), {});
  const TokenId mask = job.engine().config().mask_token;
  const TokenId without_entry = 1000;
  ASSERT_FALSE(job.text().tokenizer().HasToken(without_entry));
  Scores out;
  SubmitScore(job, {}, {957, mask, without_entry, 262}, 1, out, 0);
  out.AwaitAll();
  const Scores::Entry& got = out.Of(0);
  for (const size_t forbidden : {0, 1}) {
    EXPECT_TRUE(std::isfinite(got.tokens[forbidden].logprob));
    EXPECT_LE(got.tokens[forbidden].logprob, 0);
    EXPECT_FALSE(got.tokens[forbidden].greedy);
  }
  EXPECT_THAT(job.Stop(), IsOk());
}

}  // namespace
}  // namespace sdar
