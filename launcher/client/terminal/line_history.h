// SPDX-License-Identifier: Apache-2.0
// The lines that a user typed, kept in a file of JSON strings, one a line.
#pragma once

#include <deque>
#include <string>

namespace sdar {

class LineHistory {
 public:
  static constexpr size_t kMaxLines = 1000;
  static constexpr size_t kMaxFileBytes = size_t{1} << 20;
  // A longer line is not kept: it would push out all others.
  static constexpr size_t kMaxLineBytes = size_t{1} << 16;

  // In memory alone.
  LineHistory() = default;
  // Takes the newest lines of the file; there need be none yet. What is no JSON string is passed
  // over.
  explicit LineHistory(std::string path);

  // $XDG_STATE_HOME/sdar/client_history, else below ~/.local/state; empty where there is no home.
  static std::string DefaultPath();

  const std::deque<std::string>& lines() const { return lines_; }

  // False where it is as the last one, empty or too long. Makes the file and its folders, which
  // others may not read. A file that cannot be written costs the line's place there, and no more.
  bool Add(const std::string& line);

 private:
  void Keep(std::string line);
  void Rewrite() const;

  std::string path_;
  std::deque<std::string> lines_;
};

}  // namespace sdar
