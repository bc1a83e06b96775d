// SPDX-License-Identifier: Apache-2.0
// Times what structured output adds to rank 0's steps: no model runs.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"

#include "bench/structure/structure_cases.h"
#include "runtime/grammar/structure/structure_compiler.h"
#include "runtime/text/tokenizer.h"

namespace sdar {

// Of one sequence, in microseconds, step by step.
struct StructureTimes {
  std::vector<double> masks;   // the mask of a block's first masked position
  std::vector<double> solves;  // choices for a block, and what is forced
};

class StructureBench {
 public:
  explicit StructureBench(Tokenizer tokenizer);

  // Milliseconds that it takes to compile the structure anew.
  absl::StatusOr<double> CompileMs(const StructureCase& structure) const;
  // Writes the structure's answer in blocks of `block_length` in as many steps as it has positions,
  // 4 at most, from a grammar that is new, and then again from the same one. draws: as with a
  // temperature of 1.
  absl::StatusOr<std::vector<StructureTimes>> Write(const StructureCase& structure,
                                                    int block_length, bool draws,
                                                    int64_t answers) const;

 private:
  absl::StatusOr<std::vector<TokenId>> AnswerOf(const StructureCase& structure) const;

  Tokenizer tokenizer_;
  TokenId end_token_;  // one past the tokenizer's ids
  grammar::StructureMarks marks_;
  std::shared_ptr<const grammar::Vocabulary> vocabulary_;
};

}  // namespace sdar
