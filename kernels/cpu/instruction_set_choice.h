// SPDX-License-Identifier: Apache-2.0
// Which instruction set a job takes: the fastest of those that all ranks have, as measured.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"

#include "kernels/cpu/core_assignment.h"
#include "kernels/cpu/instruction_set.h"
#include "kernels/weights.h"

namespace sdar {

// A product that a model spends its time in: x [rows, cols] by a weight [weight_rows, cols].
struct ProductShape {
  DType act_dtype = DType::kBFloat16;
  WeightFormat format = WeightFormat::kAct;
  int64_t weight_rows = 0;
  int64_t cols = 0;
};

// What a rank knows of a set, or a job of the rank that is slowest with it.
struct InstructionSetTime {
  bool has = false;
  // The geometric mean of a product's times at 4, 16 and 64 rows; none where it was not worth
  // measuring.
  absl::Duration time = absl::InfiniteDuration();
};
// By set, InstructionSet::kAmxEmulated and what comes after it left out.
using InstructionSetTimes = std::vector<InstructionSetTime>;

// Times the sets of this machine that may be the fastest, on `cores`, in less than 0.3 s; a part of
// the weight where it is large, none where it is so small that chance would decide. Blocking.
InstructionSetTimes MeasureInstructionSets(const ProductShape& shape, const CoreShare& cores);

// The fastest set; a more capable one wins unless another is faster by a tenth, so that chance does
// not change a job's arithmetic. Of sets that were not measured, the most capable.
InstructionSet ChooseInstructionSet(const InstructionSetTimes& times);

// "amx 0.41 ms, avx512_bf16 1.93 ms": what was measured.
std::string DescribeTimes(const InstructionSetTimes& times);

}  // namespace sdar
