// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/launch_options.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/status_macros.h"

namespace sdar {
namespace {

constexpr double kLongestSeconds = 86400;

absl::Status CheckSeconds(const char* flag, double seconds) {
  if (seconds >= 0 && seconds <= kLongestSeconds) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": expected 0 .. ", kLongestSeconds, " seconds, got ", seconds));
}

absl::Status CheckRange(const char* flag, int value, int max) {
  if (value >= 0 && value <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(flag, ": expected 0 .. ", max, ", got ", value));
}

template <typename T>
boost::program_options::typed_value<std::vector<T>>* ListFlag(std::vector<T>* target) {
  return boost::program_options::value<std::vector<T>>(target)->value_name("TEXT");
}

}  // namespace

absl::Status LaunchOptions::Validate() const {
  if (command.empty()) {
    return absl::InvalidArgumentError(
        "expected the program after --, as in: sdar-launch --ranks=2 -- sdar-serve --model=DIR");
  }
  const int sources =
      (hosts.empty() ? 0 : 1) + (hostfile.empty() ? 0 : 1) + (lws_slots > 0 ? 1 : 0);
  if (sources > 1) {
    return absl::InvalidArgumentError("expected one of --hosts, --hostfile and --lws-slots");
  }
  if (restart != "on-failure" && restart != "never") {
    return absl::InvalidArgumentError(
        absl::StrCat("--restart: expected on-failure or never, got '", restart, "'"));
  }
  SDAR_RETURN_IF_ERROR(CheckRange("--ranks", ranks, 65536));
  SDAR_RETURN_IF_ERROR(CheckRange("--lws-slots", lws_slots, 1024));
  SDAR_RETURN_IF_ERROR(CheckRange("--ssh-port", ssh_port, 65535));
  SDAR_RETURN_IF_ERROR(CheckRange("--max-restarts", max_restarts, 1 << 20));
  SDAR_RETURN_IF_ERROR(CheckSeconds("--peer-timeout", peer_timeout_s));
  SDAR_RETURN_IF_ERROR(CheckSeconds("--failure-pause", failure_pause_s));
  return CheckSeconds("--stop-timeout", stop_timeout_s);
}

absl::StatusOr<std::vector<Host>> LaunchOptions::FindHosts() const {
  if (lws_slots > 0) {
    return LeaderWorkerSetHosts(std::getenv("LWS_LEADER_ADDRESS"), std::getenv("LWS_GROUP_SIZE"),
                                lws_slots);
  }
  if (!hosts.empty()) return ParseHosts(hosts);
  if (hostfile.empty()) return std::vector<Host>();
  std::ifstream file(hostfile);
  if (!file) return absl::NotFoundError(absl::StrCat("--hostfile: cannot read ", hostfile));
  std::stringstream text;
  text << file.rdbuf();
  return ParseHostfile(text.str(), hostfile);
}

void AddLaunchFlags(LaunchOptions& options, FlagSpec& spec) {
  spec.Group("Ranks and hosts")("ranks", Flag(&options.ranks),
                                "ranks of the job; 0: one for each slot of the hosts, or one")(
      "hosts", TextFlag(&options.hosts, "HOSTS"),
      "machines and their slots: a:2,b:2; rank 0 is on the first")(
      "hostfile", TextFlag(&options.hostfile, "FILE"), "file of lines: NAME slots=N")(
      "lws-slots", Flag(&options.lws_slots),
      "slots of every pod of the LeaderWorkerSet group that this one leads; 0: it leads none")(
      "env", ListFlag(&options.env),
      "variable to pass to ranks on other machines; may be repeated");
  spec.Group("Reaching other machines")("ssh-args", TextFlag(&options.ssh_args),
                                        "arguments of the ssh that reaches other machines")(
      "ssh-port", Flag(&options.ssh_port, "PORT"),
      "port on which other machines' ssh is waited for before a start; 0: no waiting")(
      "peer-timeout", Flag(&options.peer_timeout_s, "SECONDS"),
      "seconds to wait for other machines before giving up; 0: no end");
  spec.Group("Restarting and stopping")(
      "restart", Flag(&options.restart, "on-failure|never"),
      "on-failure (not after exit code 2, which more tries do not mend) or never")(
      "max-restarts", Flag(&options.max_restarts), "restarts at most; 0: no end")(
      "stop-timeout", Flag(&options.stop_timeout_s, "SECONDS"),
      "seconds that the job may take to drain after SIGTERM; more than its --drain-delay and "
      "--drain-timeout")(
      "failure-pause", Flag(&options.failure_pause_s, "SECONDS"),
      "seconds to wait before an exit with a failure, so that its log can be read where whoever "
      "sees the exit deletes the container");
  spec.Group("mpirun")("mpirun", Flag(&options.mpirun, "FILE"), "the mpirun of Open MPI 4")(
      "mpirun-arg", ListFlag(&options.mpirun_args), "further argument of mpirun; may be repeated")(
      "dry-run", SwitchFlag(&options.dry_run), "print mpirun's command line and exit");
}

}  // namespace sdar
