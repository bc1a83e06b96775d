// SPDX-License-Identifier: Apache-2.0
// That a program does not write over what it reads.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace sdar {

// A file by the flag that names it; "-" is standard input or output, "" none.
struct NamedFile {
  std::string flag;
  std::string path;
};

// InvalidArgument names both flags when a file of `written` is one of `read` or another of
// `written`, also by way of links. Only regular files count. Blocks; opens nothing.
absl::Status CheckDistinct(const std::vector<NamedFile>& read,
                           const std::vector<NamedFile>& written);

// InvalidArgument when a file of `written` is, or would become, one that a model is loaded from:
// any file of `folder` but a *.jsonl.
absl::Status CheckOutsideModel(const std::string& folder, const std::vector<NamedFile>& written);

}  // namespace sdar
