// SPDX-License-Identifier: Apache-2.0
// What a rank computes on: its share of the cores, or a GPU.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/log.h"
#include "common/status_macros.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/instruction_set_choice.h"
#include "launcher/job/agreement.h"
#include "launcher/job/job.h"
#include "launcher/job/machine_report.h"
#include "launcher/job/memory_amount.h"

namespace sdar {

// Ranks on one node with the same CPU mask split its cores.
absl::StatusOr<CoreShare> Job::FindCores(const AllowedCores& allowed) {
  const std::string mine = absl::StrCat(hosts_[static_cast<size_t>(rank())], " ", allowed.mask);
  SDAR_ASSIGN_OR_RETURN(const std::vector<std::string> all, GatherStrings(*world_, mine));
  int sharers = 0;
  int index = 0;
  for (size_t r = 0; r < all.size(); ++r) {
    if (all[r] != all[static_cast<size_t>(rank())]) continue;
    if (static_cast<int>(r) < rank()) ++index;
    ++sharers;
  }
  return ShareCores(allowed, sharers, index, options_.threads);
}

// Ranks on this rank's host, and how many of them come before it.
Job::Neighbours Job::FindNeighbours() const {
  const std::string& mine = hosts_[static_cast<size_t>(rank())];
  Neighbours found;
  found.count = static_cast<int>(std::count(hosts_.begin(), hosts_.end(), mine));
  found.before = static_cast<int>(std::count(hosts_.begin(), hosts_.begin() + rank(), mine));
  return found;
}

// GPUs where they are asked for, and under `auto` where every rank has one to itself: sharing one
// is for tests, and int8 weights are the CPU's.
absl::Status Job::MakeDevice() {
  const bool is_auto = options_.device == "auto" && options_.weights == "dtype";
  absl::StatusOr<const CudaModule*> cuda = absl::NotFoundError("--device=cuda is not given");
  if (is_auto || options_.device == "cuda") cuda = LoadCudaModule();
  const int num_devices = cuda.ok() ? (*cuda)->count_devices() : 0;
  const bool enough = !is_auto || FindNeighbours().count <= num_devices;
  SDAR_ASSIGN_OR_RETURN(const int64_t fewest, MinimumOverRanks(*world_, enough ? num_devices : 0));
  if (fewest > 0) return OpenCuda(**cuda, num_devices);
  if (options_.device == "cuda") {
    return absl::NotFoundError(absl::StrCat(
        "--device=cuda: ", num_devices > 0 ? "another rank" : "this machine",
        " has no GPU that CUDA can use", cuda.ok() ? "" : ": ", cuda.status().message()));
  }
  if (!is_auto) return OpenCpu("");
  if (!cuda.ok()) return OpenCpu(std::string(cuda.status().message()));
  return OpenCpu(enough ? "another rank has no GPU to itself"
                        : absl::StrCat("this host has ", FindNeighbours().count, " rank(s) and ",
                                       num_devices, " GPU(s) that CUDA can use"));
}

// Hosts differ, so every rank may warn.
void Job::WarnOfMachine(const AllowedCores& allowed, const std::string& why_no_gpu) const {
  for (const std::string& text : FindMachineWarnings(allowed, options_.threads, why_no_gpu)) {
    spdlog::warn("{}", text);
  }
}

// A host's ranks take its GPUs in turn.
absl::Status Job::OpenCuda(const CudaModule& cuda, int num_devices) {
  WarnOfMachine(FindAllowedCores(), "");
  if (is_coordinator()) {
    spdlog::info("{}", DescribeMemory(ControlGroup::OfThisProcess()));
    spdlog::warn("the CUDA backend was tested without a GPU: compare answers with --device=cpu");
  }
  const Neighbours neighbours = FindNeighbours();
  CudaDeviceOptions options;
  SDAR_ASSIGN_OR_RETURN(options.act_dtype, ParseDType(options_.dtype));
  options.graphs = options_.cuda_graphs == "on";
  options.index = neighbours.before % num_devices;
  memory_sharers_ = (neighbours.count - options.index + num_devices - 1) / num_devices;
  options.shared = neighbours.count > num_devices;
  options.rank_name = absl::StrCat(hosts_[static_cast<size_t>(rank())], "-", rank());
  return cuda.open(options, *group_, device_);
}

// All ranks measure at the same time, as they will compute.
absl::StatusOr<InstructionSet> Job::FindInstructionSet(DType act_dtype, const CoreShare& cores) {
  if (options_.instruction_set != "auto") return ParseInstructionSet(options_.instruction_set);
  ProductShape shape;
  shape.act_dtype = act_dtype;
  SDAR_ASSIGN_OR_RETURN(shape.format, ParseWeightFormat(options_.weights));
  const int64_t width = std::max(config().intermediate_size,
                                 config().moe_intermediate_size * config().num_experts_per_token);
  shape.weight_rows = 2 * width / group_size();
  shape.cols = config().hidden_size;
  InstructionSetTimes times = MeasureInstructionSets(shape, cores);
  constexpr int64_t kLacking = -1, kNotMeasured = 0;
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  for (InstructionSetTime& time : times) {
    int64_t mine = kLacking;
    if (time.has) {
      mine = time.time == absl::InfiniteDuration() ? kNotMeasured
                                                   : kMost - absl::ToInt64Nanoseconds(time.time);
    }
    SDAR_ASSIGN_OR_RETURN(const int64_t least, MinimumOverRanks(*world_, mine));
    time.has = least != kLacking;
    time.time = least > kNotMeasured ? absl::Nanoseconds(kMost - least) : absl::InfiniteDuration();
  }
  const InstructionSet chosen = ChooseInstructionSet(times);
  if (is_coordinator()) {
    const std::string measured = DescribeTimes(times);
    spdlog::info("instruction set {}: {}", std::string(Name(chosen)),
                 measured.empty() ? "the most capable that all ranks have"
                                  : absl::StrCat("of a product at 4, 16 and 64 rows, ", measured));
  }
  return chosen;
}

absl::Status Job::OpenCpu(const std::string& why_no_gpu) {
  const AllowedCores allowed = FindAllowedCores();
  SDAR_ASSIGN_OR_RETURN(const CoreShare cores, FindCores(allowed));
  if (is_coordinator()) {
    spdlog::info("{}; {}", DescribeCores(allowed, cores),
                 DescribeMemory(ControlGroup::OfThisProcess()));
  }
  WarnOfMachine(allowed, why_no_gpu);
  CpuBackendOptions cpu;
  SDAR_ASSIGN_OR_RETURN(cpu.act_dtype, ParseDType(options_.dtype));
  SDAR_ASSIGN_OR_RETURN(cpu.instruction_set, FindInstructionSet(cpu.act_dtype, cores));
  cpu.cores = cores;
  if (mpi_group_ != nullptr) mpi_group_->set_eager(cores.spin);
  SDAR_ASSIGN_OR_RETURN(device_.backend, CpuBackend::Create(cpu));
  device_.free_memory = [] { return FreeMemory(); };
  memory_sharers_ = FindNeighbours().count;
  return absl::OkStatus();
}

}  // namespace sdar
