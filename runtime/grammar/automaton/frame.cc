// SPDX-License-Identifier: Apache-2.0
#include "runtime/grammar/automaton/frame.h"

#include <cstddef>

namespace sdar::grammar {
namespace {

constexpr uint32_t kMaxInlineBlanks = 2;
constexpr uint32_t kMaxIndent = 64;
constexpr uint32_t kCarriageReturn = kMaxInlineBlanks + 1;
constexpr uint32_t kLineEnd = kCarriageReturn + 1;

constexpr size_t kScalarWords = 4;
constexpr size_t kObjectWords = 8;
constexpr size_t kArrayWords = 5;

}  // namespace

FrameWords ScalarFrame::Pack() const {
  FrameWords words = {static_cast<uint32_t>(kind), at, text};
  for (const ScalarEntry& entry : entries) {
    words.insert(words.end(), {entry.slot, static_cast<uint32_t>(entry.target),
                               static_cast<uint32_t>(entry.state), entry.texts});
  }
  return words;
}

ScalarFrame ScalarFrame::Unpack(absl::Span<const uint32_t> words) {
  ScalarFrame frame;
  frame.kind = KindOf(words);
  frame.at = words[1];
  frame.text = words[2];
  for (size_t i = 3; i < words.size(); i += kScalarWords) {
    frame.entries.push_back({words[i], static_cast<int32_t>(words[i + 1]),
                             static_cast<int32_t>(words[i + 2]), words[i + 3]});
  }
  return frame;
}

FrameWords ObjectFrame::Pack() const {
  FrameWords words = {static_cast<uint32_t>(FrameKind::kObject), static_cast<uint32_t>(phase), at,
                      text};
  for (const ObjectThread& thread : threads) {
    words.insert(words.end(),
                 {thread.rule, thread.slot, thread.child, thread.count, thread.seen, thread.names,
                  thread.witnesses, static_cast<uint32_t>(thread.states.size())});
    for (const int32_t state : thread.states) words.push_back(static_cast<uint32_t>(state));
  }
  return words;
}

ObjectFrame ObjectFrame::Unpack(absl::Span<const uint32_t> words) {
  ObjectFrame frame;
  frame.phase = static_cast<ObjectPhase>(words[1]);
  frame.at = words[2];
  frame.text = words[3];
  for (size_t i = 4; i < words.size();) {
    const uint32_t* w = &words[i];
    ObjectThread thread{w[0], w[1], w[2], w[3], w[4], w[5], w[6], {}};
    for (size_t k = 0; k < w[7]; ++k) {
      thread.states.push_back(static_cast<int32_t>(w[kObjectWords + k]));
    }
    i += kObjectWords + w[7];
    frame.threads.push_back(std::move(thread));
  }
  return frame;
}

FrameWords ArrayFrame::Pack() const {
  FrameWords words = {static_cast<uint32_t>(FrameKind::kArray), static_cast<uint32_t>(phase), at};
  for (const ArrayThread& thread : threads) {
    words.insert(words.end(), {thread.rule, thread.slot, thread.child, thread.index, thread.texts});
  }
  return words;
}

ArrayFrame ArrayFrame::Unpack(absl::Span<const uint32_t> words) {
  ArrayFrame frame;
  frame.phase = static_cast<ArrayPhase>(words[1]);
  frame.at = words[2];
  for (size_t i = 3; i < words.size(); i += kArrayWords) {
    frame.threads.push_back({words[i], words[i + 1], words[i + 2], words[i + 3], words[i + 4]});
  }
  return frame;
}

int StepBlank(uint32_t blanks, uint8_t byte) {
  if (byte == '\n') return blanks < kLineEnd ? static_cast<int>(kLineEnd) : -1;
  if (byte == '\r') return blanks < kCarriageReturn ? static_cast<int>(kCarriageReturn) : -1;
  if (byte != ' ' && byte != '\t') return -1;
  if (blanks < kMaxInlineBlanks) return static_cast<int>(blanks + 1);
  if (blanks >= kLineEnd && blanks < kLineEnd + kMaxIndent) return static_cast<int>(blanks + 1);
  return -1;
}

}  // namespace sdar::grammar
