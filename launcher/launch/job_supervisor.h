// SPDX-License-Identifier: Apache-2.0
// Keeps a job running until it is told to stop.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "common/machine/control_group.h"
#include "common/steady_time.h"
#include "launcher/launch/child_process.h"
#include "launcher/launch/hosts.h"
#include "launcher/launch/launch_options.h"
#include "launcher/launch/signal_queue.h"

namespace sdar {

// Waits as --failure-pause says, unless a signal to end comes.
void PauseBeforeFailure(const LaunchOptions& options, const SignalQueue& signals);

// Starts mpirun once the other machines can be reached, and again, after a delay that doubles, when
// it fails. SIGTERM, SIGHUP and SIGUSR1 let the job drain (mpirun passes SIGUSR1 to every rank); a
// second one, or SIGINT, ends it at once. The order to drain is repeated until the job ends: mpirun
// loses it while it has not yet started the ranks. Single-threaded.
class JobSupervisor {
 public:
  // `line`: mpirun's. `library` is preloaded into it; empty: none.
  // Requires: signals outlives this.
  JobSupervisor(const LaunchOptions& options, std::vector<Host> hosts,
                std::vector<std::string> line, std::string library, const SignalQueue& signals);

  // Runs the job until it ends for good. Returns the exit code: 0 after a clean end and after a
  // stop that was asked for and came in time, else that of the last run (the lowest failed rank's,
  // by mpirun).
  int Run();

 private:
  int RunUntilTheEnd();
  bool AwaitMachines(int& exit_code);
  int RunOnce();
  void Stop(const ChildProcess& job, int signal);
  void Escalate(const ChildProcess& job);
  void PressOn(const ChildProcess& job);
  bool WorthAnotherTry(int exit_code) const;
  bool Pause(absl::Duration duration);

  const LaunchOptions& options_;
  const std::vector<Host> hosts_;
  const std::vector<std::string> line_;
  const std::string library_;
  const SignalQueue& signals_;
  const ControlGroup group_ = ControlGroup::OfThisProcess();
  int restarts_ = 0;
  std::string last_words_;  // of the last run
  bool stopping_ = false;   // a stop was asked for
  // How hard the job has been asked to end, and when to ask harder.
  enum class Pressure { kNone, kDraining, kTerminated, kKilled };
  Pressure pressure_ = Pressure::kNone;
  SteadyTime next_pressure_ = SteadyTime::InfiniteFuture();
  SteadyTime next_reminder_ = SteadyTime::InfiniteFuture();  // of the order to drain
  absl::Duration reminder_interval_;
  bool is_late_ = false;  // the job has not ended in the time that it had
};

}  // namespace sdar
