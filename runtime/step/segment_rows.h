// SPDX-License-Identifier: Apache-2.0
// What the rows of a StepPlan's segment are.
#pragma once

#include <cstddef>

#include "sdar/v1/step_plan.pb.h"

namespace sdar {

// Whether a row, from 0, is a mask; rows beyond the segment's bits are not.
inline bool IsMaskedRow(const sdar::v1::Segment& segment, int row) {
  const auto byte = static_cast<size_t>(row) / 8;
  return byte < segment.masked().size() &&
         (static_cast<unsigned char>(segment.masked()[byte]) >> (row % 8) & 1) != 0;
}

}  // namespace sdar
