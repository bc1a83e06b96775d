// SPDX-License-Identifier: Apache-2.0
// The turns of a chat: what is kept of questions, answers, and answers that broke off.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

#include "sdar/v1/generation.pb.h"

namespace sdar {

class Conversation {
 public:
  // Begins with the turns of the request. What else it says goes with every question.
  explicit Conversation(sdar::v1::GenerateRequest request) : request_(std::move(request)) {}

  // With the question that waits for its answer, if one does.
  const sdar::v1::GenerateRequest& request() const { return request_; }
  sdar::v1::GenerateRequest& request() { return request_; }

  // Sets the system turn, which comes first; an empty text removes it.
  void SetSystem(const std::string& text);
  // The system turn stays.
  void Forget();
  void Replace(const sdar::v1::Chat& turns);

  // Adds a turn of this role, which waits for an answer.
  void Ask(absl::string_view role, const std::string& text);
  // Takes the last answer away, so that its question waits for another. False: there is nothing to
  // answer again.
  bool AskAgain();

  enum class Kept { kAnswer, kOldAnswer, kNothing };
  // Ends the wait. An answer without text that did not end well is not kept: the question is taken
  // out again or gets its old answer back.
  Kept Answer(const std::string& text, bool ended_well);

 private:
  sdar::v1::GenerateRequest request_;
  std::optional<sdar::v1::ChatMessage> old_answer_;  // to the question that is asked again
};

}  // namespace sdar
