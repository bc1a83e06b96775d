// SPDX-License-Identifier: Apache-2.0
// What sdar-launch was asked to do.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "launcher/flags/flags.h"
#include "launcher/launch/hosts.h"

namespace sdar {

struct LaunchOptions {
  int ranks = 0;  // 0: one for each slot
  std::string hosts;
  std::string hostfile;
  int lws_slots = 0;  // 0: no LeaderWorkerSet
  std::string ssh_args;
  int ssh_port = 22;  // 0: does not wait for ssh
  double peer_timeout_s = 1800;
  std::string restart = "on-failure";
  int max_restarts = 0;  // 0: no end
  double stop_timeout_s = 45;
  double failure_pause_s = 0;
  std::string mpirun = "mpirun";
  std::vector<std::string> env;
  std::vector<std::string> mpirun_args;
  bool dry_run = false;
  std::vector<std::string> command;  // the program and its arguments

  // InvalidArgument names the flag.
  absl::Status Validate() const;
  // The machines of the job; empty when it runs on this one alone. Reads the hostfile or the
  // variables of the LeaderWorkerSet.
  absl::StatusOr<std::vector<Host>> FindHosts() const;
};

void AddLaunchFlags(LaunchOptions& options, FlagSpec& spec);

}  // namespace sdar
