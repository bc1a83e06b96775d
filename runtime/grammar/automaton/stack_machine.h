// SPDX-License-Identifier: Apache-2.0
// The states of an automaton: stacks of frames, each kept once, and the ways between them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "runtime/grammar/automaton/array_steps.h"
#include "runtime/grammar/automaton/object_steps.h"
#include "runtime/grammar/automaton/scalar_steps.h"
#include "runtime/grammar/automaton/sequence_table.h"

namespace sdar::grammar {

// A state is an id, as the value of a StateId. Not thread-safe.
class StackMachine {
 public:
  // `text`: ScanDfa 0 of the grammar is the language of whole texts.
  StackMachine(std::shared_ptr<const JsonGrammar> grammar, bool text);

  // See Automaton.
  void AllowSpaceAround();

  uint32_t start() const { return start_; }
  uint32_t Next(uint32_t state, uint8_t byte);
  bool Accepts(uint32_t state) const;
  int64_t Distance(uint32_t state);
  uint32_t Floating(uint32_t state);
  int FreeCharacters(uint32_t state);
  size_t MemoryBytes() const;

 private:
  static constexpr uint32_t kDead = 0;
  static constexpr uint32_t kOpen = 1;
  static constexpr uint32_t kUnvisited = ~0u;
  // Rows of 1 KB; beyond this all are dropped and made again as they are visited.
  static constexpr size_t kMaxRows = 32768;
  using Row = std::array<uint32_t, 256>;

  struct Stack {
    uint32_t frame = 0;
    uint32_t below = kDead;
    uint32_t row = kUnvisited;
  };

  uint32_t Push(absl::Span<const uint32_t> frame, uint32_t below);
  absl::Span<const uint32_t> FrameOf(uint32_t state) const {
    return frames_.Get(stacks_[state].frame);
  }
  uint32_t Find(uint32_t state, uint8_t byte);
  Step StepTop(absl::Span<const uint32_t> frame, uint8_t byte);
  Step StepDone(absl::Span<const uint32_t> frame, uint8_t byte) const;
  uint32_t Pop(uint32_t below, const Step& step, uint8_t byte);
  // The bytes after a value for `slot` of the frame on top of `state`, which waits for it.
  int64_t After(uint32_t state, uint32_t slot, uint32_t text);
  int64_t CostBelow(uint32_t state, uint32_t slot, uint32_t text);
  void PrepareBelow(uint32_t state);

  std::shared_ptr<const JsonGrammar> grammar_;
  std::unique_ptr<SequenceTable> lists_;
  SequenceTable frames_;
  ObjectSteps objects_;
  ArraySteps arrays_;
  ScalarSteps scalars_;
  std::vector<Stack> stacks_;
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, uint32_t> ids_;  // of frame and below
  std::vector<std::unique_ptr<Row>> rows_;
  std::vector<uint32_t> row_owners_;
  absl::flat_hash_map<uint32_t, int64_t> distances_;
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, int64_t> after_;  // by state and slot
  uint32_t root_ = kDead;
  uint32_t unknown_ = kDead;
  uint32_t start_ = kDead;
  bool space_around_ = false;
};

}  // namespace sdar::grammar
