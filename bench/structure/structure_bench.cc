// SPDX-License-Identifier: Apache-2.0
#include "bench/structure/structure_bench.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

#include "absl/status/status.h"

#include "bench/structure/made_up_summaries.h"
#include "common/status_macros.h"
#include "launcher/job/structures.h"
#include "runtime/guided/guide.h"

namespace sdar {
namespace {

constexpr int64_t kMaxTokens = 512;
constexpr int kMostSteps = 4;

using Clock = std::chrono::steady_clock;

double MicrosecondsSince(Clock::time_point begun) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begun).count();
}

// Writes an answer as a sequence does, with made-up logits.
class Writer {
 public:
  Writer(std::shared_ptr<grammar::TokenGrammar> grammar, const std::vector<TokenId>& answer,
         int64_t vocab_size, int block_length, bool draws, uint32_t seed)
      : guide_(std::move(grammar), kMaxTokens),
        answer_(answer),
        vocab_size_(vocab_size),
        remasking_{block_length, std::min(block_length, kMostSteps),
                   RemaskingStrategy::kLowConfidenceStatic},
        seed_(seed),
        random_(seed) {
    sampling_.temperature = draws ? 1 : 0;
  }

  absl::StatusOr<StructureTimes> Run() {
    while (written_ < kMaxTokens && !ended_) SDAR_RETURN_IF_ERROR(WriteBlock());
    return std::move(times_);
  }

 private:
  absl::Status WriteBlock() {
    BlockState block(remasking_.block_length, {}, static_cast<TokenId>(vocab_size_));
    while (!block.IsDone()) SDAR_RETURN_IF_ERROR(TakeStep(block));
    for (const TokenId token : block.token_ids()) {
      const auto ends = guide_.grammar().end_tokens();
      ended_ = ended_ || std::find(ends.begin(), ends.end(), token) != ends.end();
    }
    if (!ended_) guide_.FinishBlock(block.token_ids());
    written_ += remasking_.block_length;
    return absl::OkStatus();
  }

  absl::Status TakeStep(BlockState& block) {
    const DrawKey key = {seed_, static_cast<uint32_t>(written_),
                         static_cast<uint32_t>(block.step())};
    auto begun = Clock::now();
    const auto mask = guide_.MaskOf(block, guide_.place());
    times_.masks.push_back(MicrosecondsSince(begun));
    std::vector<LogitSummary> summaries;
    for (const int position : block.MaskedPositions()) {
      DrawKey own = key;
      own.position += static_cast<uint32_t>(position);
      const auto at = static_cast<size_t>(written_ + position);
      summaries.push_back(MakeUpSummary(at < answer_.size() ? answer_[at] : answer_.back(),
                                        vocab_size_, summaries.empty() ? mask.get() : nullptr,
                                        sampling_.greedy() ? nullptr : &own, random_));
    }
    begun = Clock::now();
    const auto chosen = guide_.Choose(block, guide_.place(), summaries, sampling_, key,
                                      [](size_t) { return absl::Span<const float>(); });
    if (!chosen) return absl::InternalError("a block has no valid filling");
    std::vector<int> due = block.Due(remasking_, chosen->choices);
    guide_.AddForced(block, *chosen, due);
    times_.solves.push_back(MicrosecondsSince(begun));
    guide_.Keep(*chosen);
    block.Reveal(due, chosen->choices);
    return absl::OkStatus();
  }

  Guide guide_;
  const std::vector<TokenId>& answer_;
  const int64_t vocab_size_;
  const RemaskingOptions remasking_;
  SamplingOptions sampling_;
  const uint32_t seed_;
  std::mt19937 random_;
  StructureTimes times_;
  int64_t written_ = 0;
  bool ended_ = false;
};

}  // namespace

StructureBench::StructureBench(Tokenizer tokenizer)
    : tokenizer_(std::move(tokenizer)), end_token_(tokenizer_.vocab_limit()) {
  RequestLimits limits;
  limits.vocab_size = end_token_ + 1;
  marks_ = MarksOf(tokenizer_, limits);
  vocabulary_ = VocabularyOf(tokenizer_, limits, marks_);
}

absl::StatusOr<double> StructureBench::CompileMs(const StructureCase& structure) const {
  const auto begun = Clock::now();
  SDAR_RETURN_IF_ERROR(
      grammar::CompileStructure(structure.spec, vocabulary_, marks_, {end_token_}).status());
  return MicrosecondsSince(begun) / 1000;
}

// The tokens of the answer with its marks and its end.
absl::StatusOr<std::vector<TokenId>> StructureBench::AnswerOf(
    const StructureCase& structure) const {
  SDAR_ASSIGN_OR_RETURN(std::vector<TokenId> answer, tokenizer_.Encode(structure.answer));
  if (structure.spec.kind == grammar::StructureSpec::Kind::kTools) {
    if (marks_.call_begin == kNoToken || marks_.call_end == kNoToken) {
      return absl::NotFoundError("the tokenizer has no marks of tool calls");
    }
    answer.insert(answer.begin(), marks_.call_begin);
    answer.push_back(marks_.call_end);
  }
  answer.push_back(end_token_);
  return answer;
}

absl::StatusOr<std::vector<StructureTimes>> StructureBench::Write(const StructureCase& structure,
                                                                  int block_length, bool draws,
                                                                  int64_t answers) const {
  SDAR_ASSIGN_OR_RETURN(const std::vector<TokenId> answer, AnswerOf(structure));
  SDAR_ASSIGN_OR_RETURN(
      const std::shared_ptr<grammar::TokenGrammar> grammar,
      grammar::CompileStructure(structure.spec, vocabulary_, marks_, {end_token_}));
  std::vector<StructureTimes> times;
  for (int64_t i = 0; i < answers; ++i) {
    Writer writer(grammar, answer, vocabulary_->size(), block_length, draws,
                  static_cast<uint32_t>(i));
    SDAR_ASSIGN_OR_RETURN(times.emplace_back(), writer.Run());
  }
  return times;
}

}  // namespace sdar
