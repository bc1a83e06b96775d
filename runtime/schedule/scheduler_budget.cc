// SPDX-License-Identifier: Apache-2.0
// What of a step prompts get.
#include <algorithm>

#include "runtime/schedule/scheduler.h"

namespace sdar {

Scheduler::RowBudget Scheduler::BudgetOf(int64_t decode_rows) const {
  RowBudget budget{config_.max_batch_rows, config_.max_batch_rows};
  if (decode_rows == 0) return budget;
  const int64_t left = std::max(config_.max_batch_rows / 4, config_.max_batch_rows - decode_rows);
  budget.prefill_rows = std::min(config_.max_prefill_rows, left);
  budget.prefill_milliseconds = prefill_pace_.Budget(decode_rows);
  budget.may_rest = true;
  budget.prompts_rest = prefill_pace_.WantsRest();
  return budget;
}

// Whether a sequence has to pass once less in later steps if it is given `rows` of its prompt now.
// Where it does not, it would only be in more passes until its first token: it waits for a share of
// its own, which the next step begins with.
bool Scheduler::SavesAPass(const Sequence& sequence, int64_t rows) const {
  const int64_t block = sequence.block_length();
  const int64_t all = sequence.num_pending() + (config_.fuse_commit ? block : 0);
  const int64_t share = std::min(config_.max_prefill_rows, config_.max_batch_rows);
  const int64_t chunk = std::max(share / block, int64_t{1}) * block;
  const auto passes = [chunk](int64_t count) { return (count + chunk - 1) / chunk; };
  return passes(all - rows) < passes(all);
}

// Whether prompts leave their share of this step to later ones, so that their pieces stay as large
// as they may be: small ones cost more for a row, since what is read for all rows of a piece, such
// as the keys and values before them, does not become less. The first one decides.
bool Scheduler::PromptsRest(const Sequence& sequence, RowBudget& budget) const {
  if (budget.has_prefill || !budget.may_rest) return false;
  int64_t wish = budget.prefill_rows;
  if (!sequence.scores()) {
    const int64_t block = sequence.block_length();
    const int64_t left = sequence.num_pending() + (config_.fuse_commit ? block : 0);
    wish = std::min(wish, (left + block - 1) / block * block);
  }
  const int64_t rows =
      prefill_pace_.RowsIn(budget.prefill_milliseconds, sequence.num_committed(), wish);
  budget.prompts_rest = budget.prompts_rest || rows < wish;
  return budget.prompts_rest;
}

// Rows that a sequence's prompt can have in this step, whole blocks. The first one gets a block at
// least, however much that is compared with the share of prompts.
int64_t Scheduler::RowsForPrompt(const Sequence& sequence, const RowBudget& budget) const {
  const int64_t block = sequence.block_length();
  const int64_t in_time = prefill_pace_.RowsIn(budget.prefill_milliseconds,
                                               sequence.num_committed(), budget.prefill_rows);
  const int64_t share = budget.has_prefill ? in_time : std::max(in_time, block);
  return std::min(share, budget.rows) / block * block;
}

}  // namespace sdar
