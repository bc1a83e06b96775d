// SPDX-License-Identifier: Apache-2.0
// A model split over threads of the test process, one per rank.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"

#include "kernels/cpu/cpu_backend.h"
#ifdef SDAR_TEST_CUDA
#include "kernels/cuda/cuda_backend.h"
#endif
#ifdef SDAR_CUDA_ON_HOST
#include "tests/model/stream_communicator.h"
#endif
#include "parallel/local_communicator.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/model/sdar_model.h"

namespace sdar {

struct LocalRanksOptions {
  int ranks = 1;
  DType dtype = DType::kFloat32;
  InstructionSet instruction_set = BestInstructionSet();
  int threads = 1;
  WeightFormat weights = WeightFormat::kAct;
  std::function<void(Backend&)> inspect = [](Backend&) {};  // each rank's, once `body` is done
  ModelOptions model{MoeExchange::kAuto, 512, {32, 64}};
};

// Loads `folder` once per rank and runs `body` with each rank's model on a thread of its own; the
// first error of any rank is returned, and a failing rank aborts the others.
inline absl::Status RunOnLocalRanks(
    const std::string& folder, const LocalRanksOptions& options,
    const std::function<absl::Status(int rank, SdarModel& model, Communicator&)>& body) {
  auto checkpoint = Checkpoint::Open(folder);
  if (!checkpoint.ok()) return checkpoint.status();
  auto group = std::make_shared<LocalGroup>(options.ranks);
  std::vector<absl::Status> results(static_cast<size_t>(options.ranks));
  const auto run = [&](int rank) -> absl::Status {
    LocalCommunicator communicator(group, rank);
#ifdef SDAR_TEST_CUDA
    auto backend = CudaBackend::Create({options.dtype, 0});
#else
    CpuBackendOptions cpu;
    cpu.act_dtype = options.dtype;
    cpu.instruction_set = options.instruction_set;
    cpu.cores.num_threads = options.threads;
    auto backend = CpuBackend::Create(cpu);
#endif
    if (!backend.ok()) return backend.status();
    auto weights = LoadShardedWeights(
        checkpoint->config(), [&](absl::string_view name) { return checkpoint->Find(name); },
        {options.ranks, rank, options.weights}, **backend, {});
    if (!weights.ok()) return weights.status();
#ifdef SDAR_CUDA_ON_HOST
    StreamCommunicator stream(communicator);
    const GroupCommunicators meeting(stream, communicator);
#else
    const GroupCommunicators meeting(communicator);
#endif
    auto model = SdarModel::Create(checkpoint->config(), *std::move(weights), options.model,
                                   **backend, meeting);
    if (!model.ok()) return model.status();
    const absl::Status status = body(rank, **model, communicator);
    options.inspect(**backend);
    return status;
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < options.ranks; ++rank) {
    threads.emplace_back([&, rank] {
      results[static_cast<size_t>(rank)] = run(rank);
      if (!results[static_cast<size_t>(rank)].ok()) {
        LocalCommunicator(group, rank).Abort("another rank failed");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : results) {
    if (!status.ok() && !absl::IsAborted(status)) return status;
  }
  for (const absl::Status& status : results) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace sdar
