// SPDX-License-Identifier: Apache-2.0
// libsdar_cuda.so: the CUDA backend and NCCL behind one symbol.
#include <cstdlib>
#include <utility>

#include "common/log.h"
#include "common/status_macros.h"
#include "kernels/cuda/cuda_backend.h"
#include "launcher/cuda/cuda_module.h"
#include "parallel/nccl_communicator.h"

namespace sdar {
namespace {

absl::StatusOr<int64_t> FreeDeviceMemory() {
  size_t free = 0, total = 0;
  const cudaError_t error = cudaMemGetInfo(&free, &total);
  if (error != cudaSuccess) {
    return absl::InternalError(std::string("cudaMemGetInfo: ") + cudaGetErrorString(error));
  }
  return static_cast<int64_t>(free);
}

// NCCL refuses two ranks of one host on one device: it is told that they are on two, and meets
// them over the loopback interface.
void ShareDevice(const std::string& rank_name) {
  spdlog::warn("several ranks share a GPU: right, but slow");
  setenv("NCCL_HOSTID", rank_name.c_str(), 0);
  setenv("NCCL_SOCKET_IFNAME", "lo", 0);
  setenv("NCCL_IB_DISABLE", "1", 0);
}

absl::Status Open(const CudaDeviceOptions& options, Communicator& control, Device& out) {
  SDAR_ASSIGN_OR_RETURN(std::unique_ptr<CudaBackend> backend,
                        CudaBackend::Create({options.act_dtype, options.index, options.graphs}));
  if (control.size() > 1) {
    if (options.shared) ShareDevice(options.rank_name);
    SDAR_ASSIGN_OR_RETURN(out.tensors, NcclCommunicator::Create(control, backend->stream()));
  }
  out.backend = std::move(backend);
  out.free_memory = FreeDeviceMemory;
  return absl::OkStatus();
}

constexpr CudaModule kModule = {kCudaModuleVersion, CountCudaDevices, Open};

}  // namespace
}  // namespace sdar

extern "C" __attribute__((visibility("default"))) const sdar::CudaModule* SdarCudaModule() {
  return &sdar::kModule;
}
