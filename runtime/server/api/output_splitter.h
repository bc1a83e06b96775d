// SPDX-License-Identifier: Apache-2.0
// What a model wrote, parted into reasoning, content and tool calls as it comes.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

#include "runtime/server/api/tool_call_stream.h"

namespace sdar {

inline constexpr absl::string_view kToolCallEnd = "</tool_call>";

// A tool call, or a piece of one.
struct ToolCall {
  std::string name;       // empty: more arguments of the call before
  std::string arguments;  // a JSON object, without white space between its tokens
};

struct OutputPiece {
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> tool_calls;
  bool empty() const { return reasoning.empty() && content.empty() && tool_calls.empty(); }
};

// Reads the marks of Qwen3's chat template, which SDAR's is: <think>..</think> in front, and
// <tool_call>{"name": .., "arguments": {..}}</tool_call> anywhere after it. A tool call comes
// whole, also where the output ends before its end mark; text that only looks like one is content,
// marks included. What may become a mark is held back. The white space between the parts belongs
// to none of them. Takes time linear in the output, however it is cut. One output; one thread.
//
// Streamed tool calls come as soon as {"name": .., "arguments": { is read: the name, then pieces of
// the arguments. What else is wrong with such a call is for its reader to find.
class OutputSplitter {
 public:
  struct Options {
    bool starts_in_reasoning = false;  // the prompt ends with <think>
    bool tool_calls = false;           // without, <tool_call> is text like any other
    bool stream_tool_calls = false;    // without, each comes whole
  };
  explicit OutputSplitter(const Options& options);

  // What `text` makes certain.
  OutputPiece Push(absl::string_view text);
  // What is still held: the end of the output.
  OutputPiece Flush();

  // Bytes looked at so far, each as often as it was.
  size_t bytes_read() const { return bytes_read_; }

 private:
  enum class Part { kStart, kReasoning, kContent, kToolCall, kArguments };
  // What is known of the text up to the next mark.
  struct UpToMark {
    bool found = false;
    size_t mark = 0;    // where it begins, or may begin
    size_t length = 0;  // of the text before it, without the white space that belongs to the mark
  };

  bool Advance(OutputPiece& out);
  bool TakeStart();
  bool TakeReasoning(OutputPiece& out);
  bool TakeContent(OutputPiece& out);
  bool TakeToolCall(OutputPiece& out);
  bool TakeToolCallHead(OutputPiece& out);
  bool TakeArguments(OutputPiece& out);
  void AppendArguments(absl::string_view text, OutputPiece& out);
  void EndToolCall(absl::string_view body, OutputPiece& out);
  void EndCutToolCall(absl::string_view rest, OutputPiece& out);

  absl::string_view held() const { return absl::string_view(held_).substr(begin_); }
  void Drop(size_t count);
  void DropSearched(size_t count);
  bool DropSpace();
  UpToMark FindMark(absl::string_view mark);

  Options options_;
  Part part_;
  bool at_edge_ = false;        // only white space has come since the last part: it is dropped
  std::string opening_;         // of the tool call: the white space in front, and the mark
  bool maybe_streams_ = false;  // the head of the tool call may be one that is streamed
  ArgumentsReader arguments_;   // of a call that is streamed
  std::string held_;
  size_t begin_ = 0;     // what precedes it in `held_` is done with
  size_t searched_ = 0;  // bytes of held() in which no mark begins
  size_t text_end_ =
      0;  // bytes of held() up to the last that is not white space, of those searched
  size_t bytes_read_ = 0;
};

}  // namespace sdar
