// SPDX-License-Identifier: Apache-2.0
// Channels that tests make in addition to a ServedJob's.
#pragma once

#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

namespace sdar {

// With a connection of its own: gRPC would share one among equal channels.
inline std::shared_ptr<grpc::Channel> OwnChannel(const std::string& address,
                                                 grpc::ChannelArguments arguments = {}) {
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

// Lets little data come before it is read, so that a test need not make megabytes.
inline std::shared_ptr<grpc::Channel> NarrowChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1 << 16);
  return OwnChannel(address, arguments);
}

}  // namespace sdar
