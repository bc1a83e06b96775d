// SPDX-License-Identifier: Apache-2.0
// Ends the connections of a port from below gRPC. When gRPC 1.51 shuts a server down it ends calls
// that come at that moment as CANCELLED, which tells no client to try elsewhere. A connection that
// ends first makes them UNAVAILABLE.
#pragma once

#include "absl/time/time.h"

namespace sdar {

// Has the reader of every connection to this process's `port` see its end, after what has come
// already, and waits until they are closed, for at most `timeout`. Returns whether they all are.
bool EndConnections(int port, absl::Duration timeout);

}  // namespace sdar
