// SPDX-License-Identifier: Apache-2.0
// Fuzzes the chat template interpreter: an input is a template, rendered for a fixed conversation
// under small limits.
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

#include "common/status_macros.h"
#include "common/utf8.h"
#include "runtime/text/chat_template.h"

namespace {

sdar::ChatRequest MakeRequest() {
  auto messages = sdar::ParseJson(
      R"([{"role": "system", "content": "S"},
          {"role": "user", "content": "<think>\nä\n</think> 日本"},
          {"role": "assistant", "content": null, "n": 3, "f": 1.5, "l": [3, 1, 2],
           "tool_calls": [{"function": {"name": "f", "arguments": {"x": [1, 2.0, {"k": null}]}}}]},
          {"role": "tool", "content": "{}"}])",
      "messages");
  SDAR_CHECK(messages.ok());
  sdar::ChatRequest request;
  request.messages = *std::move(messages);
  request.tools = sdar::Json::array({{{"type", "function"}, {"function", {{"name", "f"}}}}});
  request.variables["enable_thinking"] = false;
  return request;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const sdar::ChatRequest* const request = new sdar::ChatRequest(MakeRequest());
  constexpr sdar::JinjaLimits kLimits = {.work = size_t{1} << 20, .output_bytes = 1 << 16};
  const auto chat_template =
      sdar::ChatTemplate::Parse(absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!chat_template.ok()) return 0;
  const auto prompt = chat_template->Render(*request, kLimits);
  SDAR_CHECK(!prompt.ok() || sdar::IsValidUtf8(*prompt));
  return 0;
}
