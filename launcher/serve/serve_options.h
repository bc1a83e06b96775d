// SPDX-License-Identifier: Apache-2.0
// The flags of sdar-serve.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

#include "launcher/flags/flags.h"
#include "launcher/job/job_options.h"
#include "runtime/server/tls_files.h"

namespace sdar {

struct ServeOptions {
  JobOptions job;
  std::string host = "127.0.0.1";  // addresses and names, by commas
  int port = 50051;
  std::string address_file;
  int http_port = 8000;  // -1: no HTTP
  std::string http_address_file;
  std::string admin_host = "127.0.0.1";
  int admin_port = -1;  // -1: no listener for probes alone
  std::string admin_address_file;
  std::string allowed_origins;
  bool strict_fields = false;
  bool no_warm_up = false;
  std::string otlp_endpoint;
  std::string served_model_name;
  int64_t max_stream_backlog_kib = 1024;
  double drain_timeout_s = 30;
  double drain_delay_s = 0;
  std::string sigterm = "stop";
  std::string api_keys_file;
  TlsFiles tls;

  // InvalidArgument names the flag.
  absl::Status Validate() const;
};

// Of the program, with the job's.
FlagSpec MakeServeFlags(ServeOptions& options);

}  // namespace sdar
