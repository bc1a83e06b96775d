// SPDX-License-Identifier: Apache-2.0
#include "launcher/cuda/cuda_module.h"

#include <string>

#include "absl/strings/str_cat.h"
#include <dlfcn.h>

#include "launcher/flags/own_files.h"

namespace sdar {

absl::StatusOr<const CudaModule*> LoadCudaModule() {
  // The module's libraries take a while to load: not where there is no driver anyway.
  if (dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL) == nullptr) {
    return absl::NotFoundError(absl::StrCat("no NVIDIA driver, so no CUDA: ", dlerror()));
  }
  const std::string file = FindOwnFile(kCudaModuleFile);
  if (file.empty()) {
    return absl::NotFoundError(absl::StrCat(
        "there is no ", kCudaModuleFile,
        ": this build has no CUDA backend, or it is a package of its own that is not installed"));
  }
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return absl::NotFoundError(dlerror());
  const auto get = reinterpret_cast<CudaModuleFunction*>(dlsym(library, kCudaModuleSymbol));
  const CudaModule* module = get == nullptr ? nullptr : get();
  if (module == nullptr || module->version != kCudaModuleVersion) {
    return absl::NotFoundError(absl::StrCat(file, " is of another build"));
  }
  return module;
}

}  // namespace sdar
