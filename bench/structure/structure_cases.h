// SPDX-License-Identifier: Apache-2.0
// Structures as users ask for them, each with an answer that it accepts.
#pragma once

#include <string>
#include <vector>

#include "runtime/grammar/structure/structure_spec.h"

namespace sdar {

struct StructureCase {
  std::string name;
  grammar::StructureSpec spec;
  std::string answer;
};

std::vector<StructureCase> MakeStructureCases();

}  // namespace sdar
