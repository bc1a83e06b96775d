// SPDX-License-Identifier: Apache-2.0
// A machine's /proc and /sys in a folder.
#pragma once

#include <filesystem>
#include <string>

#include "common/machine/control_group.h"
#include "tests/launcher/process.h"

namespace sdar {

class FakeMachine {
 public:
  // mountinfo of a machine with control groups of version 2.
  static constexpr char kUnified[] =
      "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

  const std::string& root() const { return root_; }

  FakeMachine& Write(const std::string& path, const std::string& content) {
    const std::string file = root_ + path;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    WriteText(file, content);
    return *this;
  }
  ControlGroup Read() const { return ControlGroup::OfThisProcess(root_); }

 private:
  ScratchFolder folder_;
  const std::string root_ = folder_.File("root");
};

}  // namespace sdar
