// SPDX-License-Identifier: Apache-2.0
#include "launcher/job/job_main.h"

#include <csignal>
#include <cstdlib>
#include <utility>

#include "absl/synchronization/mutex.h"

#include "common/log.h"

namespace sdar {
namespace {

// True where this rank is the one that speaks for all. Asked when there may be no communicator.
bool SpeaksForAll() {
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  if (rank == nullptr) rank = std::getenv("PMIX_RANK");
  return rank == nullptr || std::string(rank) == "0";
}

void SetUpProcess() {
  // A reader that went away is an error of that write. It ends no job.
  std::signal(SIGPIPE, SIG_IGN);
#ifdef NDEBUG
  // Debian's abseil looks for deadlocks at every lock. It takes one global lock for that, and its
  // records of mutexes only grow.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
}

// Says once why the job ends, in the form that its log has.
int Conclude(const std::string& program, const JobOptions& options, const absl::Status& status) {
  if (status.ok() || options.log_format != "json") return ExitCode(program, status);
  spdlog::error("{}: {}", program, std::string(status.message()));
  return ExitCodeOf(status);
}

}  // namespace

int RunJob(const std::string& program, const JobOptions& options, Job::Hooks hooks,
           SignalWatcher& signals, const std::function<absl::Status(Job&)>& coordinate) {
  SetUpProcess();
  auto job = Job::Start(options, std::move(hooks));
  if (!job.ok()) {
    // All ranks are here with the same error. Were another than the speaker to exit with an error,
    // mpirun would end the speaker, perhaps before its line is out.
    return SpeaksForAll() ? Conclude(program, options, job.status()) : 0;
  }
  if (!(*job)->is_coordinator()) {
    // Signals reach every rank of an mpirun job; rank 0 decides what they mean.
    signals.OnSignal([](int) {});
    absl::Status status = (*job)->is_first_of_group() ? (*job)->RunReplica() : (*job)->RunWorker();
    if (status.ok()) status = (*job)->Finish();
    if (!status.ok()) (*job)->Abandon(status);
    return 0;
  }
  return Conclude(program, options, coordinate(**job));
}

}  // namespace sdar
