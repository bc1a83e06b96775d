// SPDX-License-Identifier: Apache-2.0
// The requests of an input file, line by line, and what names each of them.
#pragma once

#include <cstdint>
#include <istream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sdar {

// A line that is not blank.
struct InputLine {
  int number = 0;  // from 1, blank lines counted
  std::string text;
  std::string id;            // as JSON text; the number where the line gives none
  int64_t num_samples = 1;   // records that its answer has
  bool is_answered = false;  // by an earlier run
};

// Reads all lines. InvalidArgument names two lines that have the same id, whether given or the
// line's number; DataLoss when `in` cannot be read. Lines that are no requests are errors of their
// own later. Blocks.
absl::StatusOr<std::vector<InputLine>> ReadInputLines(std::istream& in);

}  // namespace sdar
