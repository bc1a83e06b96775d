// SPDX-License-Identifier: Apache-2.0
// The CUDA backend as a module that is loaded when a job asks for a GPU: the programs themselves
// need neither driver nor CUDA's libraries.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "common/dtype.h"
#include "kernels/backend.h"
#include "parallel/communicator.h"

namespace sdar {

// What a rank computes on.
struct Device {
  std::unique_ptr<Backend> backend;
  // Collectives over the device's memory, to be destroyed before the backend; null where the
  // control communicator serves.
  std::unique_ptr<Communicator> tensors;
  std::function<absl::StatusOr<int64_t>()> free_memory;  // bytes
};

struct CudaDeviceOptions {
  DType act_dtype = DType::kBFloat16;
  int index = 0;          // among the devices that this process sees
  bool shared = false;    // with other ranks: slow, for tests
  bool graphs = true;     // CudaBackendOptions::graphs
  std::string rank_name;  // unlike any other rank's of the job
};

// What the module consists of.
struct CudaModule {
  uint64_t version;
  int (*count_devices)();  // 0 without a driver
  // All ranks of `control` open their devices together. Errors: as CudaBackend and
  // NcclCommunicator.
  absl::Status (*open)(const CudaDeviceOptions& options, Communicator& control, Device& out);
};
inline constexpr uint64_t kCudaModuleVersion = 2;
inline constexpr char kCudaModuleFile[] = "libsdar_cuda.so";
inline constexpr char kCudaModuleSymbol[] = "SdarCudaModule";
using CudaModuleFunction = const CudaModule*();

// Loads the module that lies next to the program; it stays loaded. NotFound says what is missing: a
// driver, the module itself (a build without the CUDA toolkit), or a library of CUDA.
absl::StatusOr<const CudaModule*> LoadCudaModule();

}  // namespace sdar
