// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/client_options.h"

#include "absl/strings/str_cat.h"

#include "common/status_macros.h"
#include "common/utf8.h"
#include "launcher/client/chat_files.h"

namespace sdar {
namespace {

namespace po = boost::program_options;
using sdar::v1::GenerateRequest;

po::typed_value<std::vector<std::string>>* ListFlag(std::vector<std::string>* target) {
  return po::value<std::vector<std::string>>(target)->composing()->value_name("TEXT");
}

absl::Status CheckText(absl::string_view flag, const std::string& text) {
  if (IsValidUtf8(text)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": the text is not UTF-8"));
}

}  // namespace

absl::Status ClientOptions::Validate() const {
  for (const std::string& word : message) SDAR_RETURN_IF_ERROR(CheckText("message", word));
  SDAR_RETURN_IF_ERROR(CheckText("prompt", prompt));
  SDAR_RETURN_IF_ERROR(CheckText("system", system));
  if (access.server.empty()) return absl::InvalidArgumentError("--server: expected HOST:PORT");
  if (status && info) return absl::InvalidArgumentError("--status and --info: choose one");
  if (!message.empty() && !prompt.empty()) {
    return absl::InvalidArgumentError("--message and --prompt: choose one");
  }
  if (!system.empty() && !prompt.empty()) {
    return absl::InvalidArgumentError("--system belongs to a chat; --prompt is sent as it is");
  }
  if (!tools.empty() && !prompt.empty()) {
    return absl::InvalidArgumentError("--tools belongs to a chat; --prompt is sent as it is");
  }
  if (chat && (!message.empty() || !prompt.empty() || status || info)) {
    return absl::InvalidArgumentError("--chat reads its messages; give none, and ask nothing else");
  }
  if (watch && json) return absl::InvalidArgumentError("--watch and --json: choose one");
  if (!(timeout_s >= 0 && timeout_s < 1e9)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--timeout: expected seconds, at least 0, got ", timeout_s));
  }
  if (watch_delay_ms < 0 || watch_delay_ms > 5000) {
    return absl::InvalidArgumentError(
        absl::StrCat("--watch-delay: expected 0 .. 5000, got ", watch_delay_ms));
  }
  return absl::OkStatus();
}

void AddClientFlags(ClientOptions& o, FlagSpec& spec) {
  spec.Group("Server")("server", Flag(&o.access.server, "HOST:PORT"), "where sdar-serve listens")(
      "tls", SwitchFlag(&o.access.tls), "the server speaks TLS; implied by the files below")(
      "tls-ca", TextFlag(&o.access.tls_ca, "FILE"),
      "PEM file of authorities; without, those of the system")(
      "tls-cert", TextFlag(&o.access.tls_cert, "FILE"),
      "PEM file of the certificate to show to the server")(
      "tls-key", TextFlag(&o.access.tls_key, "FILE"), "PEM file of its key")(
      "api-key-file", TextFlag(&o.access.api_key_file, "FILE"),
      "file that holds the bearer token; without, the variable SDAR_API_KEY")(
      "timeout", Flag(&o.timeout_s), "seconds an answer may take; 0: any time");
  spec.Group("Message")(
      "message", ListFlag(&o.message),
      "the user's turn of a chat; words without a flag are the same; without any, a chat starts")(
      "prompt", TextFlag(&o.prompt), "text to go on from, sent without the chat template")(
      "system", TextFlag(&o.system), "the system turn of a chat")(
      "tools", TextFlag(&o.tools, "FILE"),
      "tools that the model may call: a JSON list, as in OpenAI's API")(
      "chat", SwitchFlag(&o.chat), "chats, also where input is no terminal: a message a line");
  spec.Group("Output")("watch", SwitchFlag(&o.watch),
                       "shows the active block after every denoising step")(
      "watch-delay", Flag(&o.watch_delay_ms), "milliseconds to rest after every step shown")(
      "json", SwitchFlag(&o.json), "prints one JSON record a sample at the end, no text")(
      "statistics", SwitchFlag(&o.statistics), "prints tokens, steps and speed to standard error")(
      "status", SwitchFlag(&o.status), "prints what the server is doing and exits")(
      "info", SwitchFlag(&o.info), "prints what the server runs and exits");
  AddRequestFlags(o.fields, spec);
}

absl::StatusOr<GenerateRequest> MakeRequest(const ClientOptions& options) {
  SDAR_RETURN_IF_ERROR(options.Validate());
  GenerateRequest request;
  SDAR_RETURN_IF_ERROR(SetFields(options.fields, options.watch, request));
  if (!options.system.empty()) AddTurn("system", options.system, request);
  if (!options.tools.empty()) {
    SDAR_ASSIGN_OR_RETURN(*request.mutable_chat()->mutable_tools_json(), ReadTools(options.tools));
  }
  return request;
}

absl::Status SetFields(const FieldTexts& fields, bool watch, GenerateRequest& request) {
  request.clear_sampling();
  request.clear_stopping();
  request.clear_output();
  request.clear_scheduling();
  SDAR_RETURN_IF_ERROR(SetRequestFields(fields, request));
  if (watch && request.sampling().has_n() && request.sampling().n() != 1) {
    return absl::InvalidArgumentError("--watch shows one sample; --n must be 1");
  }
  if (watch) request.mutable_output()->set_provisional(true);
  return absl::OkStatus();
}

void AddTurn(const std::string& role, const std::string& content, GenerateRequest& request) {
  sdar::v1::ChatMessage& message = *request.mutable_chat()->add_messages();
  message.set_role(role);
  message.set_content(content);
}

}  // namespace sdar
