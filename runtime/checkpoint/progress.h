// SPDX-License-Identifier: Apache-2.0
// How long work on files reports how far it is.
#pragma once

#include <functional>

namespace sdar {

// Called with the share done, 0 .. 1, never falling; from the thread that does the work. May be
// empty.
using Progress = std::function<void(double fraction)>;

}  // namespace sdar
