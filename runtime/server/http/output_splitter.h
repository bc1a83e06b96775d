// SPDX-License-Identifier: Apache-2.0
// What a model wrote, parted into reasoning, content and tool calls as it comes.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sdar {

struct ToolCall {
  std::string name;
  std::string arguments;  // a JSON object
};

struct OutputPiece {
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> tool_calls;
  bool empty() const { return reasoning.empty() && content.empty() && tool_calls.empty(); }
};

// Reads the marks of Qwen3's chat template, which SDAR's is: <think>..</think> in front, and
// <tool_call>{"name": .., "arguments": {..}}</tool_call> anywhere behind it. A tool call comes
// whole, and one that is none is content, marks included. What may become a mark is held back. The
// white space between the parts belongs to none of them. One output; one thread.
class OutputSplitter {
 public:
  struct Options {
    bool starts_in_reasoning = false;  // the prompt ends with <think>
    bool tool_calls = false;           // without, <tool_call> is text like any other
  };
  explicit OutputSplitter(const Options& options);

  // What `text` makes certain.
  OutputPiece Push(absl::string_view text);
  // What is still held: the end of the output.
  OutputPiece Flush();

 private:
  enum class Part { kStart, kReasoning, kContent, kToolCall };

  bool Advance(OutputPiece& out);
  bool TakeStart();
  bool TakeReasoning(OutputPiece& out);
  bool TakeContent(OutputPiece& out);
  bool TakeToolCall(OutputPiece& out);
  size_t ContentEnd() const;
  void EndToolCall(absl::string_view body, OutputPiece& out);

  Options options_;
  Part part_;
  bool at_edge_ = false;  // only white space has come since the last part: it is dropped
  std::string opening_;   // of the tool call: the white space in front, and the mark
  std::string held_;
};

}  // namespace sdar
