// SPDX-License-Identifier: Apache-2.0
// Fuzzes what a model wrote: however it is cut, its parts are the same; and members of JSON objects
// that are passed on are JSON again.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

#include "common/status_macros.h"
#include "runtime/server/api/json_members.h"
#include "runtime/server/api/output_splitter.h"

namespace {

struct Parts {
  std::string reasoning;
  std::string content;
  std::string calls;
};

void Append(const sdar::OutputPiece& piece, Parts& to) {
  to.reasoning += piece.reasoning;
  to.content += piece.content;
  for (const sdar::ToolCall& call : piece.tool_calls) {
    if (!call.name.empty()) to.calls += '\0' + call.name + '\0';
    to.calls += call.arguments;
  }
}

// What is read of an object is JSON again, and without anything to leave out.
void CheckMembers(absl::string_view text) {
  const auto members = sdar::ReadJsonMembers(text, "text");
  if (!members.ok()) return;
  for (const sdar::JsonMember& member : *members) {
    const auto again = sdar::ReadJsonMembers("{\"a\":" + member.value + "}", "text", 65);
    SDAR_CHECK(again.ok() && again->size() == 1 && (*again)[0].value == member.value);
  }
}

Parts Split(absl::string_view text, sdar::OutputSplitter::Options options, size_t step) {
  sdar::OutputSplitter splitter(options);
  Parts parts;
  for (size_t at = 0; at < text.size(); at += step) {
    Append(splitter.Push(text.substr(at, step)), parts);
  }
  Append(splitter.Flush(), parts);
  return parts;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const sdar::OutputSplitter::Options options = {(data[0] & 1) != 0, (data[0] & 2) != 0,
                                                 (data[0] & 4) != 0};
  CheckMembers(text);
  const Parts whole = Split(text, options, text.size() + 1);
  const Parts cut = Split(text, options, 1 + data[0] / 8);
  SDAR_CHECK(whole.reasoning == cut.reasoning);
  SDAR_CHECK(whole.content == cut.content);
  SDAR_CHECK(whole.calls == cut.calls);
  return 0;
}
