// SPDX-License-Identifier: Apache-2.0
// What a byte does to the top frame of a stack.
#pragma once

#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"

#include "runtime/grammar/automaton/frame.h"

namespace sdar::grammar {

using Slots = absl::InlinedVector<uint32_t, 8>;

struct Step {
  enum Kind : uint8_t {
    kDead,
    kReplace,  // `frame` is the top
    kPush,     // `frame` stays below `above`
    kPop,      // the value is complete for `slots`
  };
  Kind kind = kDead;
  bool again = false;  // the byte belongs to what is the top now
  FrameWords frame;
  FrameWords above;
  Slots slots;
  uint32_t text = kOffText;  // kPop: of the value, where it is compared

  static Step Replace(FrameWords frame) { return {kReplace, false, std::move(frame), {}, {}, 0}; }
};

// Bytes from the end of a value to the end of the whole text, for one slot and, where values are
// compared, the text of the value.
using SlotCost = absl::FunctionRef<int64_t(uint32_t slot, uint32_t text)>;

}  // namespace sdar::grammar
