// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/conversation.h"

#include "launcher/client/client_options.h"

namespace sdar {

using sdar::v1::Chat;

namespace {

constexpr absl::string_view kSystem = "system";
constexpr absl::string_view kAssistant = "assistant";

bool BeginsWithSystem(const Chat& chat) {
  return chat.messages_size() > 0 && chat.messages(0).role() == kSystem;
}

}  // namespace

void Conversation::SetSystem(const std::string& text) {
  auto& turns = *request_.mutable_chat()->mutable_messages();
  if (BeginsWithSystem(request_.chat())) turns.DeleteSubrange(0, 1);
  if (text.empty()) return;
  AddTurn(std::string(kSystem), text, request_);
  for (int i = turns.size() - 1; i > 0; --i) turns.SwapElements(i, i - 1);
}

void Conversation::Forget() {
  auto& turns = *request_.mutable_chat()->mutable_messages();
  const int kept = BeginsWithSystem(request_.chat()) ? 1 : 0;
  turns.DeleteSubrange(kept, turns.size() - kept);
}

void Conversation::Replace(const Chat& turns) {
  *request_.mutable_chat()->mutable_messages() = turns.messages();
}

void Conversation::Ask(absl::string_view role, const std::string& text) {
  old_answer_.reset();
  AddTurn(std::string(role), text, request_);
}

bool Conversation::AskAgain() {
  auto& turns = *request_.mutable_chat()->mutable_messages();
  const bool answered = !turns.empty() && turns.rbegin()->role() == kAssistant;
  const int question = turns.size() - (answered ? 2 : 1);
  if (question < 0) return false;
  const std::string& role = turns[question].role();
  if (role == kSystem || role == kAssistant) return false;
  old_answer_.reset();
  if (answered) {
    old_answer_ = std::move(*turns.rbegin());
    turns.RemoveLast();
  }
  return true;
}

Conversation::Kept Conversation::Answer(const std::string& text, bool ended_well) {
  if (ended_well || !text.empty()) {
    AddTurn(std::string(kAssistant), text, request_);
    return Kept::kAnswer;
  }
  if (old_answer_.has_value()) {
    *request_.mutable_chat()->add_messages() = *std::move(old_answer_);
    return Kept::kOldAnswer;
  }
  request_.mutable_chat()->mutable_messages()->RemoveLast();
  return Kept::kNothing;
}

}  // namespace sdar
