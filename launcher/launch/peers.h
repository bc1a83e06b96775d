// SPDX-License-Identifier: Apache-2.0
// Whether the other machines of a job can be reached.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "launcher/launch/hosts.h"

namespace sdar {

// True where one of the host's addresses is one of this machine's. Blocks for a name lookup.
bool IsThisMachine(const std::string& host);

// OK when something greets as ssh does on the host's port; Unavailable says why not yet. Blocks for
// a name lookup and then for at most `timeout`.
absl::Status ProbeSsh(const std::string& host, int port, absl::Duration timeout);

// Asks the hosts other than this machine, again and again, until all of them greet. `pause` waits
// between two rounds and returns false to give up (Cancelled). DeadlineExceeded after `timeout`
// names the first host that is missing. Logs what it waits for.
absl::Status AwaitPeers(const std::vector<Host>& hosts, int port, absl::Duration timeout,
                        const std::function<bool(absl::Duration)>& pause);

}  // namespace sdar
