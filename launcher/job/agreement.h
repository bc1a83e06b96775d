// SPDX-License-Identifier: Apache-2.0
// What the ranks of a job settle before they start: that all of them can, and that they were
// started alike.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "parallel/communicator.h"

namespace sdar {

// The status of the lowest rank whose `mine` is not OK, on every rank. All ranks call it.
absl::Status AgreeOnStatus(Communicator& communicator, const absl::Status& mine);

// FailedPrecondition, on every rank, when a value differs between ranks: names it and the ranks.
// items: (what, value) in the same order on every rank. All ranks call it.
absl::Status AgreeOnValues(Communicator& communicator,
                           const std::vector<std::pair<std::string, std::string>>& items);

// The smallest of the ranks' values.
absl::StatusOr<int64_t> MinimumOverRanks(Communicator& communicator, int64_t mine);

// Every rank's string, cut to 255 bytes.
absl::StatusOr<std::vector<std::string>> GatherStrings(Communicator& communicator,
                                                       const std::string& mine);

}  // namespace sdar
