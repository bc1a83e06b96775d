// SPDX-License-Identifier: Apache-2.0
#include "runtime/server/api/answers/responses_answer.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "runtime/server/api/answers/answer_usage.h"
#include "runtime/server/api/answers/sample_reader.h"
#include "runtime/server/api/answers/token_logprobs.h"
#include "runtime/server/api/api_error.h"

namespace sdar {
namespace {

using sdar::v1::GenerateResponse;

// The output is a list of items, of which the last is open: reasoning, a message, or a tool call.
// Each function returns the events that tell of what it has done.
class ResponsesAnswer {
 public:
  ResponsesAnswer(const ApiCall& call, AnswerIdentity identity, const Tokenizer& tokenizer)
      : stream_(call.stream),
        with_logprobs_(call.call.fields.logprobs.has_value()),
        model_(call.model),
        repeated_(call.repeated),
        identity_(std::move(identity)),
        tokenizer_(tokenizer),
        reader_(call),
        usage_(call) {}

  std::string Take(const GenerateResponse& response);
  std::string End(const absl::Status& status);
  Json Body() const { return Response(Status(), Usage()); }

 private:
  enum class Item { kNone, kReasoning, kMessage, kCall };

  std::string Event(const char* type, const Json& fields);
  std::string PartEvent(const char* type, const Json& fields);
  std::string Begin();
  std::string Open(Item item, Json json);
  std::string Close();
  std::string AddReasoning(const std::string& text);
  std::string AddText(const std::string& text, const Json& logprobs);
  std::string AddCall(const ToolCall& call);
  Json Logprobs(const GenerateResponse& response) const;
  Json Response(const char* status, Json usage) const;
  const char* Status() const;
  Json Usage() const;
  std::string NewId(const char* prefix) const {
    return absl::StrCat(prefix, identity_.id, "-", output_.size());
  }

  const bool stream_;
  const bool with_logprobs_;
  const std::string model_;
  const Json repeated_;
  const AnswerIdentity identity_;
  const Tokenizer& tokenizer_;
  SampleReader reader_;
  AnswerUsage usage_;
  Item open_ = Item::kNone;
  Json output_ = Json::array();
  int64_t num_events_ = 0;
  int64_t reasoning_tokens_ = 0;
};

std::string ResponsesAnswer::Event(const char* type, const Json& fields) {
  if (!stream_) return "";
  Json event = {{"type", type}, {"sequence_number", num_events_++}};
  event.update(fields);
  return ServerSentEvent(type, event);
}

// Of the open item, or its one part.
std::string ResponsesAnswer::PartEvent(const char* type, const Json& fields) {
  Json event = {{"item_id", output_.back()["id"]}, {"output_index", output_.size() - 1}};
  if (open_ != Item::kCall) event["content_index"] = 0;
  event.update(fields);
  return Event(type, event);
}

Json ResponsesAnswer::Response(const char* status, Json usage) const {
  Json response = {{"id", identity_.id},
                   {"object", "response"},
                   {"created_at", identity_.created},
                   {"status", status},
                   {"error", nullptr},
                   {"incomplete_details", nullptr},
                   {"model", model_},
                   {"output", output_},
                   {"previous_response_id", nullptr},
                   {"reasoning", {{"effort", nullptr}}},
                   {"store", false},
                   {"truncation", "disabled"},
                   {"usage", std::move(usage)}};
  if (absl::string_view(status) == "incomplete") {
    response["incomplete_details"] = {{"reason", "max_output_tokens"}};
  }
  response.update(repeated_);
  return response;
}

const char* ResponsesAnswer::Status() const {
  return reader_.stopped() ? "completed" : "incomplete";
}

Json ResponsesAnswer::Usage() const {
  Json usage = {{"input_tokens", usage_.prompt_tokens()},
                {"input_tokens_details", {{"cached_tokens", usage_.cached_tokens()}}},
                {"output_tokens", usage_.completion_tokens()},
                {"output_tokens_details", {{"reasoning_tokens", reasoning_tokens_}}},
                {"total_tokens", usage_.prompt_tokens() + usage_.completion_tokens()}};
  usage_.AddWork(usage);
  return usage;
}

std::string ResponsesAnswer::Begin() {
  if (num_events_ > 0 || !stream_) return "";
  const Json response = Response("in_progress", nullptr);
  std::string events = Event("response.created", {{"response", response}});
  events += Event("response.in_progress", {{"response", response}});
  return events;
}

std::string ResponsesAnswer::Open(Item item, Json json) {
  std::string events = Close();
  open_ = item;
  output_.push_back(std::move(json));
  events += Event("response.output_item.added",
                  {{"output_index", output_.size() - 1}, {"item", output_.back()}});
  if (item == Item::kCall) return events;
  const bool message = item == Item::kMessage;
  Json part = {{"type", message ? "output_text" : "reasoning_text"}, {"text", ""}};
  if (message) part["annotations"] = Json::array();
  if (message && with_logprobs_) part["logprobs"] = Json::array();
  events += PartEvent("response.content_part.added", {{"part", part}});
  output_.back()["content"].push_back(std::move(part));
  return events;
}

std::string ResponsesAnswer::Close() {
  if (open_ == Item::kNone) return "";
  Json& item = output_.back();
  item["status"] = "completed";
  std::string events;
  if (open_ == Item::kCall) {
    events = PartEvent("response.function_call_arguments.done",
                       {{"name", item["name"]}, {"arguments", item["arguments"]}});
  } else {
    const Json& part = item["content"][0];
    const bool message = open_ == Item::kMessage;
    Json fields = {{"text", part["text"]}};
    if (message) fields["logprobs"] = part.value("logprobs", Json::array());
    events =
        PartEvent(message ? "response.output_text.done" : "response.reasoning_text.done", fields);
    events += PartEvent("response.content_part.done", {{"part", part}});
  }
  open_ = Item::kNone;
  return events +
         Event("response.output_item.done", {{"output_index", output_.size() - 1}, {"item", item}});
}

std::string ResponsesAnswer::AddReasoning(const std::string& text) {
  std::string events;
  if (open_ != Item::kReasoning) {
    events = Open(Item::kReasoning, {{"type", "reasoning"},
                                     {"id", NewId("rs_")},
                                     {"summary", Json::array()},
                                     {"content", Json::array()},
                                     {"status", "in_progress"}});
  }
  output_.back()["content"][0]["text"].get_ref<std::string&>() += text;
  return events + PartEvent("response.reasoning_text.delta", {{"delta", text}});
}

std::string ResponsesAnswer::AddText(const std::string& text, const Json& logprobs) {
  std::string events;
  if (open_ != Item::kMessage) {
    events = Open(Item::kMessage, {{"type", "message"},
                                   {"id", NewId("msg_")},
                                   {"role", "assistant"},
                                   {"status", "in_progress"},
                                   {"content", Json::array()}});
  }
  Json& part = output_.back()["content"][0];
  part["text"].get_ref<std::string&>() += text;
  for (const Json& entry : logprobs) part["logprobs"].push_back(entry);
  if (text.empty() && logprobs.empty()) return events;
  return events +
         PartEvent("response.output_text.delta", {{"delta", text}, {"logprobs", logprobs}});
}

std::string ResponsesAnswer::AddCall(const ToolCall& call) {
  std::string events;
  if (!call.name.empty()) {
    events = Open(Item::kCall, {{"type", "function_call"},
                                {"id", NewId("fc_")},
                                {"call_id", NewId("call_")},
                                {"name", call.name},
                                {"arguments", ""},
                                {"status", "in_progress"}});
  }
  if (call.arguments.empty()) return events;
  output_.back()["arguments"].get_ref<std::string&>() += call.arguments;
  return events + PartEvent("response.function_call_arguments.delta", {{"delta", call.arguments}});
}

Json ResponsesAnswer::Logprobs(const GenerateResponse& response) const {
  if (!with_logprobs_ || response.delta().token_ids_size() == 0) return Json::array();
  return ChatLogprobs(response.delta(), tokenizer_)["content"];
}

std::string ResponsesAnswer::Take(const GenerateResponse& response) {
  if (response.has_provisional()) return "";
  std::string events = Begin();
  const OutputPiece piece = reader_.Take(response);
  const int64_t tokens = response.delta().token_ids_size();
  usage_.CountTokens(tokens);
  if (!piece.reasoning.empty()) {
    if (piece.content.empty()) reasoning_tokens_ += tokens;
    events += AddReasoning(piece.reasoning);
  }
  if (!piece.content.empty()) events += AddText(piece.content, Logprobs(response));
  for (const ToolCall& call : piece.tool_calls) events += AddCall(call);
  if (!response.has_finished()) return events;
  usage_.AddSample(0, response.finished().usage());
  if (output_.empty()) events += AddText("", Json::array());
  return events + Close();
}

std::string ResponsesAnswer::End(const absl::Status& status) {
  if (status.ok()) {
    const char* type = reader_.stopped() ? "response.completed" : "response.incomplete";
    return Event(type, {{"response", Body()}});
  }
  const Json error = ApiError(status)["error"];
  Json response = Response("failed", nullptr);
  response["error"] = {{"code", "server_error"}, {"message", error["message"]}};
  return Event("response.failed", {{"response", std::move(response)}});
}

}  // namespace

AnswerForm MakeResponsesAnswer(const ApiCall& call, AnswerIdentity identity,
                               const Tokenizer& tokenizer) {
  return FormOf(std::make_shared<ResponsesAnswer>(call, std::move(identity), tokenizer));
}

}  // namespace sdar
