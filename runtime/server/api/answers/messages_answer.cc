// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/answers/messages_answer.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "runtime/server/api/answers/answer_usage.h"
#include "runtime/server/api/answers/sample_reader.h"
#include "runtime/server/api/api_error.h"

namespace sdar {
namespace {

using sdar::v1::GenerateResponse;

// The content is a list of parts, of which the last is open. Each function returns the events that
// tell of what it has done.
class MessagesAnswer {
 public:
  MessagesAnswer(const ApiCall& call, AnswerIdentity identity)
      : stream_(call.stream),
        model_(call.model),
        id_(std::move(identity.id)),
        reader_(call),
        usage_(call) {}

  std::string Take(const GenerateResponse& response);
  std::string End(const absl::Status& status);
  Json Body() const { return Message(); }

 private:
  std::string Event(const char* type, const Json& fields) const;
  std::string Begin();
  std::string Open(const char* type, Json part);
  std::string Close();
  std::string AddText(const char* type, const char* delta_type, const std::string& text);
  std::string AddCall(const ToolCall& call);
  Json Message() const;
  Json Usage() const;
  Json StopReason() const;
  Json StopSequence() const {
    return reader_.stop_string() ? Json(*reader_.stop_string()) : Json();
  }

  const bool stream_;
  const std::string model_;
  const std::string id_;
  SampleReader reader_;
  AnswerUsage usage_;
  bool begun_ = false;
  std::string open_;       // the type of the last part; empty: none is open
  std::string arguments_;  // of a call that is open
  Json content_ = Json::array();
};

std::string MessagesAnswer::Event(const char* type, const Json& fields) const {
  if (!stream_) return "";
  Json event = {{"type", type}};
  event.update(fields);
  return ServerSentEvent(type, event);
}

Json MessagesAnswer::Usage() const {
  Json usage = {{"input_tokens", usage_.prompt_tokens() - usage_.cached_tokens()},
                {"cache_read_input_tokens", usage_.cached_tokens()},
                {"cache_creation_input_tokens", 0},
                {"output_tokens", usage_.completion_tokens()}};
  usage_.AddWork(usage);
  return usage;
}

Json MessagesAnswer::Message() const {
  return {{"id", id_},
          {"type", "message"},
          {"role", "assistant"},
          {"model", model_},
          {"content", content_},
          {"stop_reason", StopReason()},
          {"stop_sequence", StopSequence()},
          {"usage", Usage()}};
}

Json MessagesAnswer::StopReason() const {
  if (!reader_.finished()) return nullptr;
  if (!reader_.stopped()) return "max_tokens";
  if (reader_.num_tool_calls() > 0) return "tool_use";
  return reader_.stop_string() ? "stop_sequence" : "end_turn";
}

std::string MessagesAnswer::Begin() {
  if (std::exchange(begun_, true)) return "";
  return Event("message_start", {{"message", Message()}});
}

std::string MessagesAnswer::Open(const char* type, Json part) {
  std::string events = Close();
  open_ = type;
  events += Event("content_block_start", {{"index", content_.size()}, {"content_block", part}});
  content_.push_back(std::move(part));
  return events;
}

std::string MessagesAnswer::Close() {
  if (open_.empty()) return "";
  if (open_ == "tool_use") {
    const auto input = ParseJson(arguments_, "input");
    // Clients rely on an object; of a call that was cut off there is none, and the stop reason says
    // so.
    content_.back()["input"] = input.ok() && input->is_object() ? *input : Json::object();
    arguments_.clear();
  }
  open_.clear();
  return Event("content_block_stop", {{"index", content_.size() - 1}});
}

std::string MessagesAnswer::AddText(const char* type, const char* delta_type,
                                    const std::string& text) {
  std::string events;
  const bool thinking = absl::string_view(type) == "thinking";
  const char* const member = thinking ? "thinking" : "text";
  if (open_ != type) {
    Json part = {{"type", type}, {member, ""}};
    if (thinking) part["signature"] = "";  // the API has one; nothing is signed here
    events = Open(type, std::move(part));
  }
  content_.back()[member].get_ref<std::string&>() += text;
  return events + Event("content_block_delta", {{"index", content_.size() - 1},
                                                {"delta", {{"type", delta_type}, {member, text}}}});
}

std::string MessagesAnswer::AddCall(const ToolCall& call) {
  std::string events;
  if (!call.name.empty()) {
    events = Open("tool_use", {{"type", "tool_use"},
                               {"id", absl::StrCat("toolu_", id_, "-", content_.size())},
                               {"name", call.name},
                               {"input", Json::object()}});
  }
  arguments_ += call.arguments;
  if (call.arguments.empty()) return events;
  return events +
         Event("content_block_delta",
               {{"index", content_.size() - 1},
                {"delta", {{"type", "input_json_delta"}, {"partial_json", call.arguments}}}});
}

std::string MessagesAnswer::Take(const GenerateResponse& response) {
  if (response.has_provisional()) return "";
  std::string events = Begin();
  const OutputPiece piece = reader_.Take(response);
  usage_.CountTokens(response.delta().token_ids_size());
  if (!piece.reasoning.empty()) events += AddText("thinking", "thinking_delta", piece.reasoning);
  if (!piece.content.empty()) events += AddText("text", "text_delta", piece.content);
  for (const ToolCall& call : piece.tool_calls) events += AddCall(call);
  if (!response.has_finished()) return events;
  usage_.AddSample(0, response.finished().usage());
  return events + Close();
}

std::string MessagesAnswer::End(const absl::Status& status) {
  if (!status.ok()) {
    return ServerSentEvent("error", MessagesError(status, HttpCode(status)));
  }
  return Event("message_delta",
               {{"delta", {{"stop_reason", StopReason()}, {"stop_sequence", StopSequence()}}},
                {"usage", Usage()}}) +
         Event("message_stop", Json::object());
}

}  // namespace

AnswerForm MakeMessagesAnswer(const ApiCall& call, AnswerIdentity identity, const Tokenizer&) {
  return FormOf(std::make_shared<MessagesAnswer>(call, std::move(identity)));
}

}  // namespace sdar
