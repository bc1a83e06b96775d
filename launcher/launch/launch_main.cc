// SPDX-License-Identifier: Apache-2.0
// sdar-launch: runs a program on all ranks of a job and keeps it running.
#include <algorithm>
#include <csignal>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include <unistd.h>

#include "common/log.h"
#include "common/status_macros.h"
#include "launcher/flags/flags.h"
#include "launcher/flags/own_files.h"
#include "launcher/launch/job_supervisor.h"
#include "launcher/launch/launch_options.h"
#include "launcher/launch/mpirun_line.h"

namespace sdar {
namespace {

constexpr char kProgram[] = "sdar-launch";

FlagSpec MakeFlags(LaunchOptions& options) {
  FlagSpec spec;
  spec.program = kProgram;
  spec.purpose =
      "Runs a program of this project under mpirun, on one machine or several, and keeps it "
      "running:\nwaits for the other machines' ssh, starts the job again when it fails, turns "
      "SIGTERM into a drain.\nIt can be the first process of a container.";
  spec.usage = "sdar-launch [flags] -- PROGRAM [ARGUMENT...]";
  spec.runs_command = true;
  AddLaunchFlags(options, spec);
  spec.man.summary = "runs a program on all ranks of a job and keeps it running";
  spec.man.exit_codes = {{"other", "The exit code of the job's program."}};
  spec.man.environment = {{"LWS_LEADER_ADDRESS, LWS_GROUP_SIZE",
                           "The group that --lws-slots refers to; a LeaderWorkerSet sets them."}};
  spec.man.files = {{"/etc/sdar/sdar.env", "Settings of the systemd unit sdar.service."}};
  spec.man.see_also = "sdar-serve(1), sdar-generate(1), mpirun(1), ssh(1)";
  return spec;
}

// A name without a folder means the program in this program's folder, if there is one. The path is
// the same on every machine.
std::string FindProgram(const std::string& name) {
  const std::string path = name.find('/') == std::string::npos ? FindOwnFile(name) : "";
  return path.empty() ? name : path;
}

// The library that keeps mpirun's ports on loopback. Empty if other machines take part.
std::string FindLoopbackLibrary(const LaunchOptions& options, const std::vector<Host>& hosts) {
  const auto names_hosts = [](const std::string& word) {
    return absl::StrContains(word, "host") || absl::StartsWith(word, "-H");
  };
  const std::vector<std::string>& words = options.mpirun_args;
  if (!hosts.empty() || std::any_of(words.begin(), words.end(), names_hosts)) return "";
  std::string library = FindOwnFile("libsdar_loopback.so");
  if (library.empty()) spdlog::warn("no libsdar_loopback.so: mpirun listens on every address");
  return library;
}

absl::StatusOr<int> Launch(LaunchOptions& options, const SignalQueue& signals) {
  SDAR_RETURN_IF_ERROR(options.Validate());
  options.command[0] = FindProgram(options.command[0]);
  SDAR_ASSIGN_OR_RETURN(std::vector<Host> hosts, options.FindHosts());
  SDAR_ASSIGN_OR_RETURN(std::vector<std::string> line, MpirunLine(options, hosts, geteuid() == 0));
  if (options.dry_run) {
    std::cout << ShellQuoted(line) << std::endl;
    return 0;
  }
  std::string library = FindLoopbackLibrary(options, hosts);
  return JobSupervisor(options, std::move(hosts), std::move(line), std::move(library), signals)
      .Run();
}

// The form that the job's program was told to log in, so that both write one log.
LogOptions OwnLogOptions(const LaunchOptions& options) {
  LogOptions log;
  const std::vector<std::string>& words = options.command;
  for (size_t i = 0; i < words.size(); ++i) {
    const bool is_json =
        words[i] == "--log-format=json" ||
        (words[i] == "--log-format" && i + 1 < words.size() && words[i + 1] == "json");
    if (is_json) log.format = LogFormat::kJson;
  }
  return log;
}

// Says why there is no job, in the log's form.
int Refuse(const LogOptions& log, const absl::Status& status) {
  if (log.format == LogFormat::kText) return ExitCode(kProgram, status);
  spdlog::error("{}: {}", kProgram, std::string(status.message()));
  return ExitCodeOf(status);
}

int Main(int argc, char** argv) {
  const SignalQueue signals;
  LaunchOptions options;
  int own = 1;  // arguments before "--"
  while (own < argc && std::string(argv[own]) != "--") ++own;
  for (int i = own + 1; i < argc; ++i) options.command.emplace_back(argv[i]);
  FlagSpec spec = MakeFlags(options);
  const absl::StatusOr<FlagOutcome> outcome = ParseFlags(spec, own, argv);
  if (!outcome.ok()) return ExitCode(kProgram, outcome.status());
  if (*outcome == FlagOutcome::kPrinted) return 0;
  std::signal(SIGPIPE, SIG_IGN);  // a log that nobody reads ends no job
  InitLogging(OwnLogOptions(options));
  const absl::StatusOr<int> exit_code = Launch(options, signals);
  if (exit_code.ok()) return *exit_code;
  const int refused = Refuse(OwnLogOptions(options), exit_code.status());
  PauseBeforeFailure(options, signals);
  return refused;
}

}  // namespace
}  // namespace sdar

int main(int argc, char** argv) { return sdar::Main(argc, argv); }
