// SPDX-License-Identifier: Apache-2.0
// Structured answers of real jobs: valid, complete, and the same whatever the ranks and drafts.
#include <map>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/engine/golden_runs.h"
#include "tests/engine/local_job.h"
#include "tests/sanitized.h"
#include "tests/status_matchers.h"

namespace sdar {
namespace {

using grammar::StructureSpec;
using ::testing::HasSubstr;

StructureSpec Regex(const std::string& pattern) {
  StructureSpec spec;
  spec.kind = StructureSpec::Kind::kRegex;
  spec.text = pattern;
  return spec;
}

StructureSpec Schema(const std::string& text) {
  StructureSpec spec;
  spec.kind = StructureSpec::Kind::kJsonSchema;
  spec.text = text;
  return spec;
}

StructureSpec Tools(bool must_call, bool many_calls) {
  StructureSpec spec;
  spec.kind = StructureSpec::Kind::kTools;
  spec.must_call = must_call;
  spec.many_calls = many_calls;
  spec.tools = {{"get_weather",
                 R"({"type": "object", "properties": {"city": {"$ref": "#/$defs/city"}},
                     "required": ["city"], "additionalProperties": false,
                     "$defs": {"city": {"type": "string", "maxLength": 12}}})"},
                {"now", ""}};
  return spec;
}

constexpr const char* kPerson = R"({
  "type": "object", "additionalProperties": false, "required": ["name", "age", "tags"],
  "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 20},
                 "age": {"type": "integer", "minimum": 0, "maximum": 150},
                 "tags": {"type": "array", "items": {"enum": ["red", "green", "deep blue"]},
                          "maxItems": 3}}})";

std::vector<StructureSpec> Structures() {
  StructureSpec choice;
  choice.kind = StructureSpec::Kind::kChoice;
  choice.choices = {"yes", "no", "I do not know"};
  return {Regex("(\\d{4})-(0[1-9]|1[0-2])-[0-3]\\d( [a-z]+)*"),
          Schema(kPerson),
          choice,
          StructureSpec(),
          Tools(true, false),
          Tools(true, true)};
}

struct Asked {
  RequestFields fields;
  std::vector<TokenId> prompt;
};

// Requests over all strategies, block lengths and temperatures, with tokens enough and hardly so.
std::vector<Asked> AskAll(const TextCodec& text) {
  std::vector<Asked> asked;
  uint64_t seed = 1;
  for (const StructureSpec& structure : Structures()) {
    for (const RemaskingStrategy strategy :
         {RemaskingStrategy::kSequential, RemaskingStrategy::kLowConfidenceStatic,
          RemaskingStrategy::kLowConfidenceDynamic, RemaskingStrategy::kEntropyBounded}) {
      for (const int block_length : {4, 8, 16, 32}) {
        Asked& one = asked.emplace_back();
        one.fields.structure = structure;
        one.fields.remasking_strategy = strategy;
        one.fields.block_length = block_length;
        one.fields.temperature = seed % 2 == 0 ? 0 : 1;
        if (seed % 3 == 0) one.fields.top_p = 0.8;
        if (seed % 5 == 0) one.fields.repetition_penalty = 1.3;
        one.fields.denoising_steps = seed % 4 == 0 ? block_length / 2 : block_length;
        one.fields.max_tokens = 40 + static_cast<int64_t>(seed % 7) * 10;
        one.fields.seed = seed++;
        one.prompt = *text.EncodePrompt("A question, number " + std::to_string(seed) + ".");
      }
    }
  }
  return asked;
}

// Walks the tokens of an answer and its end through its grammar.
bool IsValid(const LocalJob& job, const StructureSpec& structure, const Json& answer) {
  const auto& ends = job.defaults().generation.eos_token_ids;
  std::vector<TokenId> sorted(ends.begin(), ends.end());
  std::sort(sorted.begin(), sorted.end());
  const auto grammar = job.defaults().structures->Compile(structure, sorted);
  EXPECT_THAT(grammar, IsOk());
  if (!grammar.ok()) return false;
  grammar::TokenState state = (*grammar)->start();
  for (const Json& id : answer["token_ids"]) state = (*grammar)->Next(state, id.get<TokenId>());
  return (*grammar)->MayEnd(state);
}

// The answers of a job, each valid and ended by itself.
std::vector<Json> Answers(int ranks, int drafts, int64_t num_pages = 400) {
  LocalJobOptions options;
  options.ranks.ranks = ranks;
  options.scheduler = {24, 512, num_pages, 32, true};
  options.drafts = drafts;
  LocalJob job(Folder("models/sdar-tiny"), options);
  std::vector<Asked> asked = AskAll(job.text());
  // Sanitizers take ten times as long, and look at the code, not at the answers.
  if (kSanitized) {
    constexpr size_t kOneOf = 5;
    for (size_t i = 0; i * kOneOf < asked.size(); ++i) std::swap(asked[i], asked[i * kOneOf]);
    asked.resize((asked.size() + kOneOf - 1) / kOneOf);
  }
  Collector out;
  for (size_t i = 0; i < asked.size(); ++i) {
    EXPECT_THAT(job.Submit(asked[i].fields, asked[i].prompt, out, static_cast<int>(i)), IsOk());
  }
  out.AwaitAll();
  std::vector<Json> answers;
  for (size_t i = 0; i < asked.size(); ++i) {
    const auto key = static_cast<int>(i);
    EXPECT_THAT(out.StatusOf(key), IsOk()) << i;
    Json answer = out.Result(key);
    EXPECT_EQ(answer["finish_reason"], "stop") << i << " " << answer["text"];
    EXPECT_TRUE(IsValid(job, *asked[i].fields.structure, answer)) << i << " " << answer["text"];
    EXPECT_LE(answer["usage"]["completion_tokens"].get<int64_t>(), *asked[i].fields.max_tokens);
    answers.push_back(answer["token_ids"]);
  }
  return answers;
}

size_t CountDifferent(const std::vector<Json>& a, const std::vector<Json>& b) {
  size_t count = 0;
  for (size_t i = 0; i < a.size(); ++i) count += a[i] != b[i] ? 1 : 0;
  return count;
}

TEST(StructuredTest, AnswersAreValidAndTheSameWhateverTheRanksDraftsAndMemory) {
  const std::vector<Json> answers = Answers(1, 0);
  EXPECT_EQ(Answers(1, 8), answers) << "8 drafts";
  EXPECT_EQ(Answers(1, kAutomaticDrafts), answers) << "automatic drafts";
  EXPECT_EQ(Answers(1, 0, 12), answers) << "sequences are preempted";
  if (kSanitized) return;
  // Sums over ranks are rounded in another order, which may turn a choice between equals.
  EXPECT_LE(CountDifferent(Answers(2, 8), answers), answers.size() / 10) << "2 ranks";
  EXPECT_LE(CountDifferent(Answers(4, 0), answers), answers.size() / 10) << "4 ranks";
}

TEST(StructuredTest, EveryNumberOfTokensFromTheLeastOnGivesAValidAnswer) {
  LocalJob job(Folder("models/sdar-tiny"), {});
  Collector out;
  std::map<int, StructureSpec> structures;
  const std::vector<TokenId> prompt = *job.text().EncodePrompt("Say it.");
  for (const StructureSpec& structure : Structures()) {
    RequestFields fields;
    fields.structure = structure;
    fields.block_length = 8;
    fields.temperature = 1;
    fields.seed = 7;
    fields.max_tokens = 1;
    const absl::Status refused = job.Submit(fields, prompt, out, 0);
    ASSERT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_tokens: ")));
    const std::string message(refused.message());
    const int64_t least = std::stoll(message.substr(message.find(" takes ") + 7));
    fields.max_tokens = least - 1;
    EXPECT_FALSE(job.Submit(fields, prompt, out, 0).ok());
    for (int64_t more = 0; more < (kSanitized ? 3 : 12); ++more) {
      fields.max_tokens = least + more;
      const int key = 1 + static_cast<int>(structures.size());
      structures[key] = structure;
      ASSERT_THAT(job.Submit(fields, prompt, out, key), IsOk());
    }
  }
  out.AwaitAll();
  for (const auto& [key, structure] : structures) {
    const Json answer = out.Result(key);
    EXPECT_EQ(answer["finish_reason"], "stop") << answer["text"];
    EXPECT_TRUE(IsValid(job, structure, answer)) << answer["text"];
  }
}

TEST(StructuredTest, WhatAcceptsEverythingChangesNoBit) {
  LocalJob job(Folder("models/sdar-tiny"), {});
  Collector out;
  constexpr int kRuns = 24;
  for (int i = 0; i < 2 * kRuns; ++i) {
    RequestFields fields;
    if (i >= kRuns) fields.structure = Regex("[\\s\\S]*");
    fields.temperature = i % 2;
    fields.block_length = 4 << i % 3;
    fields.max_tokens = 40;
    fields.logprobs = 3;
    fields.seed = static_cast<uint64_t>(i % kRuns);
    const auto prompt = *job.text().EncodePrompt("Story " + std::to_string(i % kRuns));
    ASSERT_THAT(job.Submit(fields, prompt, out, i, true), IsOk());
  }
  out.AwaitAll();
  for (int i = 0; i < kRuns; ++i) {
    Json with = out.Result(i + kRuns);
    with["id"] = i;
    EXPECT_EQ(with, out.Result(i));
  }
}

TEST(StructuredTest, ForcedTokensAreCountedAndSaveSteps) {
  LocalJob job(Folder("models/sdar-tiny"), {});
  Collector out;
  RequestFields fields;
  fields.structure = Regex("this is what is said here, and nothing else");
  fields.block_length = 4;
  ASSERT_THAT(job.Submit(fields, *job.text().EncodePrompt("Say it."), out, 0), IsOk());
  out.AwaitAll();
  const Json answer = out.Result(0);
  EXPECT_EQ(answer["text"], fields.structure->text);
  const auto tokens = answer["usage"]["completion_tokens"].get<int64_t>();
  EXPECT_GE(answer["usage"]["forced_tokens"].get<int64_t>(), tokens / 4);
  EXPECT_LE(answer["usage"]["denoising_steps"].get<int64_t>(), tokens / 4 + 2);
}

}  // namespace
}  // namespace sdar
