// SPDX-License-Identifier: Apache-2.0
// gRPC's own messages as lines of this program's log.
#pragma once

namespace sdar {

// Makes gRPC log through spdlog's default logger, with the severity that it gives a message. gRPC
// would print lines of its own, in which a header of a request can hold line ends. Each place in
// gRPC's code writes at most LineLimit's lines. Call once, after InitLogging.
void SendGrpcLogToOurs();

}  // namespace sdar
