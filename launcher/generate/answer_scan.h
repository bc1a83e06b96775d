// SPDX-License-Identifier: Apache-2.0
// What an earlier run of sdar-generate left in its output.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "launcher/generate/input_lines.h"

namespace sdar {

// Bytes [begin, end) of a file.
struct ByteRange {
  int64_t begin = 0;
  int64_t end = 0;
};

struct FoundAnswers {
  // Where the last whole answer ends. What follows are the first records of an answer that was
  // never finished.
  int64_t end = 0;
  // Error records before `end`, ascending. They are no answers: their lines are tried again.
  std::vector<ByteRange> errors;
};

// Reads the records of `path` and sets is_answered in the lines whose records are all there. The
// records of a line with n samples follow each other, indices 0 to n - 1. InvalidArgument names the
// path and the line when they are not such records of these lines: another input's, an id twice, a
// number of samples that is not the line's, no JSON. An unfinished end of a file is no error.
// DataLoss when the file cannot be read. Blocks; changes nothing in the file.
absl::StatusOr<FoundAnswers> FindAnswers(const std::string& path, std::vector<InputLine>& lines);

}  // namespace sdar
