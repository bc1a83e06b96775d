// SPDX-License-Identifier: Apache-2.0
#include "runtime/schedule/mask_table.h"

#include <string>

namespace sdar {

uint32_t MaskTable::IndexOf(const grammar::TokenMask& mask, sdar::v1::StepPlan& plan) {
  const auto found = by_id_.find(mask.id);
  if (found != by_id_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
    entries_.front().last_plan = plan_;
    return entries_.front().index;
  }
  const uint32_t index = FreeIndex();
  entries_.push_front({mask.id, index, plan_});
  by_id_[mask.id] = entries_.begin();
  sdar::v1::TokenMask& sent = *plan.add_masks();
  sent.set_index(index);
  std::string& bits = *sent.mutable_bits();
  for (uint64_t word : mask.bits) {
    for (int byte = 0; byte < 8; ++byte) bits.push_back(static_cast<char>(word >> 8 * byte & 0xFF));
  }
  bits.erase(bits.find_last_not_of('\0') + 1);
  return index;
}

// A new place, or that of the mask which was used least recently, if no segment of this plan has
// it.
uint32_t MaskTable::FreeIndex() {
  if (entries_.size() < kPlaces || entries_.back().last_plan == plan_) {
    return static_cast<uint32_t>(entries_.size());
  }
  const uint32_t index = entries_.back().index;
  by_id_.erase(entries_.back().id);
  entries_.pop_back();
  return index;
}

}  // namespace sdar
