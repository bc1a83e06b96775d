// SPDX-License-Identifier: Apache-2.0
// Where the messages of a chat come from.
#pragma once

#include <cstddef>
#include <string>

namespace sdar {

// Bytes of one message at most.
inline constexpr size_t kMaxLineBytes = size_t{1} << 20;

struct InputLine {
  enum class Kind {
    kText,
    kCleared,    // Ctrl-C took away what was typed
    kInterrupt,  // Ctrl-C, and nothing was typed
    kTooLong,    // and thrown away
    kEnd,
  };
  Kind kind = Kind::kEnd;
  std::string text;  // of kText; UTF-8, may hold several lines
};

class LineReader {
 public:
  virtual ~LineReader() = default;
  // Shows a prompt and waits.
  virtual InputLine Next() = 0;
  // The line can be called back later.
  virtual void Remember(const std::string& line) = 0;
};

}  // namespace sdar
