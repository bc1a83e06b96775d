// SPDX-License-Identifier: Apache-2.0
#include "launcher/cuda/cuda_module.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include <dlfcn.h>

namespace sdar {

absl::StatusOr<const CudaModule*> LoadCudaModule() {
  // The module's libraries take a while to load: not where there is no driver anyway.
  if (dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL) == nullptr) {
    return absl::NotFoundError(absl::StrCat("no NVIDIA driver, so no CUDA: ", dlerror()));
  }
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path file = program.parent_path() / kCudaModuleFile;
  if (error || !std::filesystem::exists(file, error)) {
    return absl::NotFoundError(
        absl::StrCat(file.string(), " is not there: this build has no CUDA backend"));
  }
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return absl::NotFoundError(dlerror());
  const auto get = reinterpret_cast<CudaModuleFunction*>(dlsym(library, kCudaModuleSymbol));
  const CudaModule* module = get == nullptr ? nullptr : get();
  if (module == nullptr || module->version != kCudaModuleVersion) {
    return absl::NotFoundError(absl::StrCat(file.string(), " is of another build"));
  }
  return module;
}

}  // namespace sdar
