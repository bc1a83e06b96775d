// SPDX-License-Identifier: Apache-2.0
// The command line of mpirun that starts a job.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "launcher/launch/launch_options.h"

namespace sdar {

// The words of the line for `hosts` (empty: this machine). InvalidArgument when there are more
// ranks than slots.
absl::StatusOr<std::vector<std::string>> MpirunLine(const LaunchOptions& options,
                                                    const std::vector<Host>& hosts, bool as_root);

// The words as a shell would read them.
std::string ShellQuoted(const std::vector<std::string>& words);

}  // namespace sdar
