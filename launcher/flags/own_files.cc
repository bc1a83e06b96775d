// SPDX-License-Identifier: Apache-2.0
#include "launcher/flags/own_files.h"

#include <filesystem>
#include <system_error>

namespace sdar {

std::string FindOwnFile(const std::string& name) {
  std::error_code error;
  const std::filesystem::path folder =
      std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const std::filesystem::path& path :
       {folder / name, folder.parent_path() / "lib" / "sdar" / name}) {
    if (std::filesystem::exists(path, error)) return path.string();
  }
  return "";
}

}  // namespace sdar
