// SPDX-License-Identifier: Apache-2.0
// What the programs that read and write JSON lines share: opening files, and records for lines that
// failed.
#pragma once

#include <fstream>
#include <istream>
#include <ostream>
#include <string>

#include "absl/status/statusor.h"

#include "common/json.h"

namespace sdar {

// The stream of --input: standard input for "-", else `file`, opened. NotFound names the path,
// and so does InvalidArgument for a folder.
absl::StatusOr<std::istream*> OpenInput(const std::string& path, std::ifstream& file);

// The stream of --output: standard output for "-", else `file`, opened to append or anew. NotFound
// names the path.
absl::StatusOr<std::ostream*> OpenOutput(const std::string& path, bool append, std::ofstream& file);

// {"id", "line", "error"}; no "id" where it is null.
Json ErrorRecord(const Json& id, int line_number, const absl::Status& status);

// DataLoss when `out` cannot be written.
absl::Status Flush(std::ostream& out);

// OK for 0, else Aborted with the number of lines whose records hold an error.
absl::Status LinesFailed(int count);

}  // namespace sdar
