// SPDX-License-Identifier: Apache-2.0
// The machines of a job, as the command line, a hostfile or a LeaderWorkerSet names them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sdar {

// A machine and how many ranks it takes.
struct Host {
  std::string name;
  int slots = 1;

  bool operator==(const Host& other) const { return name == other.name && slots == other.slots; }
};

// "a:2,b" (one slot where none is given). InvalidArgument names what is wrong.
absl::StatusOr<std::vector<Host>> ParseHosts(absl::string_view list);

// The text of a hostfile as mpirun takes it: a line "NAME [slots=N]", # begins a comment.
// InvalidArgument names `path` and the line.
absl::StatusOr<std::vector<Host>> ParseHostfile(absl::string_view text, absl::string_view path);

// The pods of a LeaderWorkerSet's group: the leader, LWS_LEADER_ADDRESS "NAME-GROUP.SUBDOMAIN...",
// and its workers "NAME-GROUP-1.SUBDOMAIN..." up to LWS_GROUP_SIZE - 1. InvalidArgument names the
// variable.
absl::StatusOr<std::vector<Host>> LeaderWorkerSetHosts(const char* leader_address,
                                                       const char* group_size, int slots);

// Sum of the slots.
int TotalSlots(const std::vector<Host>& hosts);

}  // namespace sdar
