// SPDX-License-Identifier: Apache-2.0
// Recognises what Git LFS leaves in place of files that were not fetched.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sdar {

// FailedPrecondition when the file at `path`, whose text begins with `start`, is a Git-LFS pointer:
// names it and the command that fetches the file itself.
absl::Status CheckNotPointer(absl::string_view start, const std::string& path);

// The same for every small file of a model folder but its *.safetensors, which say it themselves:
// one error for each, in the order of their names. Blocks.
std::vector<absl::Status> FindPointers(const std::string& folder);

}  // namespace sdar
