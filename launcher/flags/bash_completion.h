// SPDX-License-Identifier: Apache-2.0
// What bash loads to complete a program's command line, written from the tables of flags.
#pragma once

#include <string>

#include "launcher/flags/flags.h"

namespace sdar {

// Bash code that needs nothing but bash: flag names, words and paths. After -- of a program that
// runs others it hands over to their completion, if the package bash-completion is there.
std::string BashCompletion(const FlagSpec& spec);

}  // namespace sdar
