// SPDX-License-Identifier: Apache-2.0
// The files that come with the programs.
#pragma once

#include <string>

namespace sdar {

// The path of a program or library of this project: in the folder of the running program, as in a
// build, or in lib/sdar next to that folder, where `cmake --install` puts what is no program. Empty
// if it is in neither.
std::string FindOwnFile(const std::string& name);

}  // namespace sdar
