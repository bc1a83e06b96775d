// SPDX-License-Identifier: Apache-2.0
// Which token masks the ranks keep, and where: every mask is sent once for as long as it is used.
#pragma once

#include <cstdint>
#include <list>
#include <string>

#include "absl/container/flat_hash_map.h"

#include "runtime/grammar/tokens/token_grammar.h"
#include "sdar/v1/step_plan.pb.h"

namespace sdar {

// The ranks' table as rank 0 sees it; the mask that was used least recently gives its place up.
// One thread.
class MaskTable {
 public:
  // Places, but for those of masks that one plan needs.
  static constexpr size_t kPlaces = 256;

  // To be told before the masks of every plan.
  void BeginPlan() { ++plan_; }
  // The index of the mask, which is added to the plan if the ranks do not have it.
  uint32_t IndexOf(const grammar::TokenMask& mask, sdar::v1::StepPlan& plan);

 private:
  struct Entry {
    uint64_t id;
    uint32_t index;
    int64_t last_plan;
  };
  uint32_t FreeIndex();

  std::list<Entry> entries_;  // used last first
  absl::flat_hash_map<uint64_t, std::list<Entry>::iterator> by_id_;
  int64_t plan_ = 0;
};

}  // namespace sdar
